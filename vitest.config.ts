import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** The long files stand in `test/`: they go first, so that none of them is left running alone at the end. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const stands = ({ project }: TestSpecification): number => (project.name === 'whole' ? 0 : 1);
    return sorted.sort((a, b) => stands(a) - stands(b));
  }
}

export default defineConfig({
  test: {
    testTimeout: 60_000,
    // Tests measure and compare on two cores at most; more workers would only make them wait for each other.
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
    projects: [
      { extends: true, test: { name: 'whole', include: ['test/**/*.test.ts'] } },
      // Files beside the source share the modules they load: reading them anew for each takes longer than their tests.
      { extends: true, test: { name: 'parts', include: ['src/**/*.test.ts'], isolate: false } },
    ],
  },
});
