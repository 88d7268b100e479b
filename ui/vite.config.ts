import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { constants, gzip } from "node:zlib";
import { defineConfig } from "vitest/config";
import type { Plugin } from "vite";

/** Writes a compressed copy beside each asset, which the server sends to whoever takes it. */
function compressed(): Plugin {
  return {
    name: "compressed",
    apply: "build",
    // Not before: the bundler still writes into its chunks while it makes the bundle.
    async writeBundle({ dir = "" }, bundle) {
      for (const name of Object.keys(bundle).filter((name) => name.startsWith("assets/"))) {
        const plain = await readFile(join(dir, name));
        const packed = await promisify(gzip)(plain, { level: constants.Z_BEST_COMPRESSION });
        await writeFile(join(dir, `${name}.gz`), packed);
      }
    },
  };
}

export default defineConfig({
  // Everything is relative to the page, which may lie below any prefix.
  base: "./",
  build: {
    outDir: "dist/page",
    emptyOutDir: true,
    target: "es2022",
    // Data in URLs would need more than 'self' in the policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  plugins: [compressed()],
  server: { proxy: { "/api": process.env["WEFT"] ?? "http://127.0.0.1:9090" } },
  test: { environment: "happy-dom", include: ["src/**/*.test.{ts,tsx}"] },
});
