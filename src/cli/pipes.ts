/**
 * What happens when whoever reads our output goes away, as in `braid plan … | head`: a closed standard output ends the
 * command without an error, for what it wrote was wanted no further; a closed standard error only loses the progress lines.
 */
export function endWithReader(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(0);
  });
  process.stderr.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}
