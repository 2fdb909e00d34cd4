// The version of this package, where no file can be read: in a bundle. test/package.test.ts compares it with package.json.

export const VERSION = '0.1.0'
