// A bad serial line by hand: runs main() of host-cli/test/line-shaper.ts.

import { importSource } from "./source.mjs";

try {
  const { main } = await importSource("host-cli/test/line-shaper.ts");
  await main(process.argv.slice(2));
} catch (error) {
  console.error(`line-shaper: ${error.message}`);
  process.exitCode = 1;
}
