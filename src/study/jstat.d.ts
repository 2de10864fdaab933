declare module 'jstat' {
  interface StudentT {
    cdf(t: number, degreesOfFreedom: number): number;
    inv(p: number, degreesOfFreedom: number): number;
  }
  const library: { readonly jStat: { readonly studentt: StudentT } };
  export default library;
}
