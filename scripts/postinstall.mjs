/**
 * Runs when Braid is installed as a dependency: builds the native addon from the sources that come with the package. It
 * never fails the installation. Without a compiler it prints one line; `braid doctor --build` builds later.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

// A clone of the project builds with `npm run build`, where progress and errors can be seen.
if (!existsSync(path.join(root, 'src'))) {
  const script = path.join(root, 'scripts', 'build-native.mjs');
  const { status, stderr } = spawnSync(process.execPath, [script, '--quiet'], { encoding: 'utf8' });
  if (status !== 0) {
    const [reason = ''] = (stderr ?? '').split('\n');
    process.stderr.write(
      `braid: the native addon was not built: ${reason} Later: npx braid doctor --build\n`,
    );
  }
}
