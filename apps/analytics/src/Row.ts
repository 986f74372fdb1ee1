/** A row in which a column that is null is a member that is absent. */
export type Present<A> = { readonly [K in keyof A as null extends A[K] ? never : K]: A[K] } & {
  readonly [K in keyof A as null extends A[K] ? K : never]?: NonNullable<A[K]>
}

/** Leaves out the columns that are null. */
export const present = <A extends object>(row: A): Present<A> =>
  // `Object.fromEntries` forgets which members there are.
  Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null)) as Present<A>
