// What tests need of the parts below a cluster.

export { childrenOf, descendantsOf, findProcess, signal } from '../../src/testing/processes.js'
