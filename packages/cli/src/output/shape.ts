/** How results are printed: for people, for line-wise scripts, for programs. */
export type Shape = 'pretty' | 'simple' | 'json'
