// What tests need of the parts below a cluster.

export { until } from '../../src/testing/wait.js'
