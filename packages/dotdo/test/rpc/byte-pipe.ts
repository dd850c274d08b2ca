/** The simulated platform's pipe for bytes, where the tests of links have always found it. */
export { bytePipe } from '../../src/testing/byte-pipe.ts'
