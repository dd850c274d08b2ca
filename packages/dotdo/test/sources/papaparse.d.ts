// The one call of the foreign CSV reader that the tests make.
declare module 'papaparse' {
  const Papa: {
    parse<Row>(text: string, config: { header: boolean; skipEmptyLines: boolean; delimiter?: string }): { data: Row[]; errors: unknown[] }
  }
  export default Papa
}
