// @secvisogram/csaf-validator-lib ships no types; these are those that our tests use.

type CsafTest = (document: unknown) => unknown;

declare module "@secvisogram/csaf-validator-lib/validate.js" {
  export default function validate(
    tests: readonly CsafTest[],
    document: unknown,
  ): Promise<{ isValid: boolean; tests: { name: string; isValid: boolean; errors: unknown[] }[] }>;
}

declare module "@secvisogram/csaf-validator-lib/mandatoryTests.js" {
  const tests: Readonly<Record<string, CsafTest>>;
  export = tests;
}

declare module "@secvisogram/csaf-validator-lib/schemaTests.js" {
  export const csaf_2_0_strict: CsafTest;
}
