/**
 * A family of models as others write it down: what its `config.json` says and what its tensors are called. A family is one
 * file and one line in the registry. Import reads with `read`, export writes with `write`, and both use `rules`.
 */
import type { LayerChoice } from '../../blocks/index.ts';
import type { ModelConfig } from '../config.ts';
import type { Fields, Json } from './fields.ts';
import type { MappingRule } from './mapping.ts';

/** A layer and the path under which the model builder declares its parameters. */
export interface PlacedLayer {
  readonly path: string;
  readonly layer: LayerChoice;
}

/** A block of a model, with its layers from input to output, branch by branch. */
export interface PlacedBlock {
  readonly path: string;
  /** Types of its layers, as in a pattern: `attention+mlp`. */
  readonly form: string;
  readonly layers: readonly PlacedLayer[];
  /** Fusion and routing, where it has them. */
  readonly settings: Json;
}

export interface Family {
  /** Its `model_type`. */
  readonly name: string;
  readonly summary: string;
  /** Forms of block that it has. */
  readonly forms: readonly string[];
  /** A configuration that `parseModelConfig` takes. What cannot be had is an error of `fields`. */
  read(fields: Fields): Json;
  /**
   * `config.json` of a model whose blocks all have a form of the family. The caller checks that `read` gives the model
   * back. Absent where the names are only read.
   */
  write?(model: ExportedModel): Json;
  rules(model: {
    readonly config: ModelConfig;
    readonly blocks: readonly PlacedBlock[];
  }): readonly MappingRule[];
  /** Tensors that other software stores although they can be computed, such as frequencies. */
  readonly ignored?: RegExp;
}

/** What `write` reads of a model. */
export interface ExportedModel {
  readonly config: ModelConfig;
  readonly blocks: readonly PlacedBlock[];
  /** All options of the first layer of that type, or undefined when there is none. */
  options(type: string): Json | undefined;
}
