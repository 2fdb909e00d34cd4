// What tests need of the parts below a cluster.

export { environment, installation, run } from '../../src/testing/binaries.js'
