import type { CodegenConfig } from "@graphql-codegen/cli";

/** What is an exact number is a string in JavaScript, whose own numbers lose cents beyond 2^53. */
const scalars = {
  BigInt: "string",
  Cents: "string",
  CurrencyCode: "string",
  Date: "string",
  DateTime: "string",
  Decimal: "string",
  JSON: "unknown",
};

const config: CodegenConfig = {
  schema: "../../../schema.graphql",
  documents: "src/**/*.ts",
  generates: {
    "src/gql/": {
      preset: "client",
      presetConfig: { fragmentMasking: { unmaskFunctionName: "unmask" } },
      config: { scalars, strictScalars: true, useTypeImports: true, enumsAsTypes: true },
    },
    "src/gql/schema.json": { plugins: ["introspection"], config: { minify: true, descriptions: false } },
  },
};

export default config;
