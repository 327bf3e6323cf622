import manifest from '../package.json' with { type: 'json' }

/** The version of all of Holdfast's packages. */
export const version: string = manifest.version
