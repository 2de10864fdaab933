"""The models that golden files are made of: small, and awkward on purpose.

Widths, heads, groups and states are all different numbers, so that no two axes can be exchanged unseen; lengths are no
multiple of a chunk; multipliers are not 1. `written`: store the config.json that the reference writes today; otherwise
the one given here, in the words that published checkpoints use.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Model:
    name: str
    config: dict
    written: bool
    batch: int = 2
    length: int = 19

    @property
    def family(self) -> str:
        return self.config['model_type']


def config(model_type: str, architecture: str, **values) -> dict:
    # Without a padding token: the embedding of one would get no gradient.
    return {
        'architectures': [architecture],
        'model_type': model_type,
        'vocab_size': 61,
        'bos_token_id': 1,
        'eos_token_id': 2,
        'pad_token_id': None,
        **values,
    }


def llama(**values) -> dict:
    return config('llama', 'LlamaForCausalLM', hidden_act='silu', max_position_embeddings=512, **values)


def mamba(**values) -> dict:
    return config('mamba', 'MambaForCausalLM', hidden_act='silu', residual_in_fp32=True, **values)


def mamba2(**values) -> dict:
    return config('mamba2', 'Mamba2ForCausalLM', hidden_act='silu', residual_in_fp32=True, **values)


def jamba(**values) -> dict:
    return config('jamba', 'JambaForCausalLM', hidden_act='silu', max_position_embeddings=512, **values)


def falcon_h1(**values) -> dict:
    return config(
        'falcon_h1',
        'FalconH1ForCausalLM',
        hidden_act='silu',
        max_position_embeddings=512,
        embedding_multiplier=1.7,
        lm_head_multiplier=0.6,
        key_multiplier=0.7,
        attention_in_multiplier=1.2,
        attention_out_multiplier=0.8,
        ssm_in_multiplier=1.1,
        ssm_out_multiplier=0.65,
        ssm_multipliers=[0.9, 1.3, 0.75, 1.15, 0.6],
        mlp_multipliers=[1.4, 0.55],
        **values,
    )


def nemotron_h(**values) -> dict:
    return config(
        'nemotron_h',
        'NemotronHForCausalLM',
        hidden_size=20,
        mlp_hidden_act='relu2',
        mamba_hidden_act='silu',
        max_position_embeddings=512,
        residual_in_fp32=False,
        **values,
    )


def zamba2(**values) -> dict:
    return config('zamba2', 'Zamba2ForCausalLM', hidden_act='gelu', max_position_embeddings=512, **values)


MODELS = [
    Model(
        'llama_gqa_llama3',
        llama(
            hidden_size=24,
            intermediate_size=27,
            num_hidden_layers=2,
            num_attention_heads=6,
            num_key_value_heads=2,
            head_dim=8,
            rms_norm_eps=1e-5,
            # Of the four frequencies of a head one stays, one is blended and two are slowed down.
            rope_theta=10000.0,
            rope_scaling={
                'rope_type': 'llama3',
                'factor': 8.0,
                'low_freq_factor': 1.0,
                'high_freq_factor': 4.0,
                'original_max_position_embeddings': 64,
            },
            attention_bias=False,
            mlp_bias=False,
            tie_word_embeddings=False,
        ),
        written=False,
    ),
    Model(
        'llama_tied_biases_linear',
        llama(
            hidden_size=24,
            intermediate_size=40,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=4,
            rms_norm_eps=1e-6,
            rope_parameters={'rope_type': 'linear', 'factor': 2.5, 'rope_theta': 500.0},
            attention_bias=True,
            mlp_bias=True,
            tie_word_embeddings=True,
        ),
        written=True,
        batch=1,
        length=23,
    ),
    Model(
        'mamba_tied',
        mamba(
            hidden_size=20,
            intermediate_size=40,
            num_hidden_layers=2,
            state_size=5,
            conv_kernel=4,
            expand=2,
            time_step_rank=3,
            layer_norm_epsilon=1e-5,
            use_bias=False,
            use_conv_bias=True,
            tie_word_embeddings=True,
        ),
        written=False,
    ),
    Model(
        'mamba_untied_biases',
        mamba(
            hidden_size=18,
            num_hidden_layers=2,
            state_size=7,
            conv_kernel=3,
            expand=3,
            time_step_rank='auto',
            layer_norm_epsilon=1e-6,
            use_bias=True,
            use_conv_bias=False,
            tie_word_embeddings=False,
        ),
        written=True,
        batch=1,
        length=23,
    ),
    Model(
        'mamba2_groups',
        mamba2(
            hidden_size=24,
            num_hidden_layers=2,
            num_heads=6,
            head_dim=8,
            n_groups=3,
            state_size=5,
            conv_kernel=4,
            expand=2,
            chunk_size=8,
            time_step_rank='auto',
            layer_norm_epsilon=1e-5,
            use_bias=False,
            use_conv_bias=True,
            tie_word_embeddings=False,
        ),
        written=True,
    ),
    Model(
        'mamba2_tied_biases_limit',
        mamba2(
            hidden_size=20,
            num_hidden_layers=2,
            num_heads=5,
            head_dim=8,
            n_groups=1,
            state_size=7,
            conv_kernel=3,
            expand=2,
            chunk_size=16,
            time_step_rank=2,
            time_step_limit=[0.1, 0.5],
            layer_norm_epsilon=1e-6,
            use_bias=True,
            use_conv_bias=False,
            tie_word_embeddings=True,
        ),
        written=False,
        batch=1,
        length=23,
    ),
    Model(
        'jamba_dense_tied_biases',
        jamba(
            hidden_size=20,
            intermediate_size=28,
            num_hidden_layers=3,
            num_attention_heads=2,
            num_key_value_heads=2,
            attn_layer_period=3,
            attn_layer_offset=1,
            num_experts=1,
            num_experts_per_tok=1,
            expert_layer_period=2,
            expert_layer_offset=1,
            mamba_d_state=5,
            mamba_d_conv=3,
            mamba_expand=2,
            mamba_dt_rank=3,
            mamba_conv_bias=False,
            mamba_proj_bias=True,
            rms_norm_eps=1e-6,
            tie_word_embeddings=True,
        ),
        written=True,
        batch=1,
        length=23,
    ),
    Model(
        'jamba_moe',
        jamba(
            hidden_size=20,
            intermediate_size=18,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
            attn_layer_period=3,
            attn_layer_offset=1,
            num_experts=5,
            num_experts_per_tok=2,
            expert_layer_period=2,
            expert_layer_offset=1,
            mamba_d_state=6,
            mamba_d_conv=4,
            mamba_expand=2,
            mamba_dt_rank='auto',
            mamba_conv_bias=True,
            mamba_proj_bias=False,
            rms_norm_eps=1e-5,
            tie_word_embeddings=False,
        ),
        written=False,
    ),
    Model(
        'falcon_h1',
        falcon_h1(
            hidden_size=20,
            intermediate_size=26,
            num_hidden_layers=2,
            num_attention_heads=6,
            num_key_value_heads=3,
            head_dim=8,
            rope_theta=100000000000.0,
            mamba_d_ssm=36,
            mamba_n_heads=6,
            mamba_d_head=6,
            mamba_n_groups=2,
            mamba_d_state=5,
            mamba_d_conv=4,
            mamba_expand=2,
            mamba_chunk_size=8,
            mamba_conv_bias=True,
            mamba_proj_bias=False,
            mamba_rms_norm=False,
            mamba_norm_before_gate=False,
            projectors_bias=False,
            attention_bias=False,
            mlp_bias=False,
            rms_norm_eps=1e-5,
            tie_word_embeddings=False,
        ),
        written=False,
    ),
    Model(
        'falcon_h1_norm_tied_biases',
        falcon_h1(
            hidden_size=18,
            intermediate_size=25,
            num_hidden_layers=2,
            num_attention_heads=3,
            num_key_value_heads=1,
            head_dim=4,
            rope_parameters={'rope_type': 'default', 'rope_theta': 10000.0},
            mamba_d_ssm=24,
            mamba_n_heads=3,
            mamba_d_head=8,
            mamba_n_groups=3,
            mamba_d_state=4,
            mamba_d_conv=3,
            mamba_expand=2,
            mamba_chunk_size=16,
            mamba_conv_bias=False,
            mamba_proj_bias=True,
            mamba_rms_norm=True,
            mamba_norm_before_gate=False,
            projectors_bias=True,
            attention_bias=True,
            mlp_bias=True,
            rms_norm_eps=1e-6,
            tie_word_embeddings=True,
        ),
        written=True,
        batch=1,
        length=23,
    ),
    Model(
        'nemotron_h',
        nemotron_h(
            intermediate_size=30,
            hybrid_override_pattern='M-*M',
            num_hidden_layers=4,
            num_attention_heads=6,
            num_key_value_heads=2,
            head_dim=4,
            mamba_num_heads=6,
            mamba_head_dim=6,
            n_groups=3,
            ssm_state_size=5,
            conv_kernel=4,
            chunk_size=8,
            time_step_min=0.001,
            layer_norm_epsilon=1e-5,
            use_bias=False,
            use_conv_bias=True,
            mlp_bias=False,
            attention_bias=False,
            tie_word_embeddings=False,
        ),
        written=False,
    ),
    Model(
        'nemotron_h_biases',
        nemotron_h(
            intermediate_size=33,
            layers_block_type=['linear_attention', 'full_attention', 'mlp'],
            num_attention_heads=3,
            num_key_value_heads=3,
            head_dim=8,
            mamba_num_heads=4,
            mamba_head_dim=7,
            n_groups=2,
            ssm_state_size=6,
            conv_kernel=3,
            chunk_size=16,
            time_step_min=0.001,
            layer_norm_epsilon=1e-6,
            use_bias=True,
            use_conv_bias=False,
            mlp_bias=True,
            tie_word_embeddings=False,
        ),
        written=True,
        batch=1,
        length=23,
    ),
    Model(
        'zamba2_shared_adapters_rope',
        zamba2(
            hidden_size=16,
            attention_hidden_size=32,
            attention_head_dim=8,
            intermediate_size=22,
            num_hidden_layers=4,
            layers_block_type=['mamba', 'hybrid', 'hybrid', 'hybrid'],
            num_attention_heads=4,
            num_key_value_heads=4,
            num_mem_blocks=2,
            adapter_rank=3,
            use_shared_mlp_adapter=True,
            use_shared_attention_adapter=True,
            use_mem_rope=True,
            rope_theta=10000.0,
            add_bias_linear=False,
            mamba_d_state=5,
            mamba_d_conv=4,
            mamba_expand=2,
            mamba_ngroups=2,
            n_mamba_heads=4,
            mamba_headdim=8,
            chunk_size=8,
            time_step_min=0.001,
            rms_norm_eps=1e-5,
            tie_word_embeddings=True,
        ),
        written=False,
    ),
    Model(
        'zamba2_one_block_biases',
        zamba2(
            hidden_size=18,
            intermediate_size=25,
            num_hidden_layers=3,
            layers_block_type=['linear_attention', 'hybrid', 'hybrid'],
            num_attention_heads=6,
            num_key_value_heads=2,
            num_mem_blocks=1,
            adapter_rank=4,
            use_shared_attention_adapter=False,
            use_mem_rope=False,
            add_bias_linear=True,
            mamba_d_state=7,
            mamba_d_conv=3,
            mamba_expand=2,
            mamba_ngroups=1,
            n_mamba_heads=3,
            chunk_size=16,
            time_step_min=0.001,
            rms_norm_eps=1e-6,
            # Untied, the reference does not share the block either.
            tie_word_embeddings=True,
        ),
        written=True,
        batch=1,
        length=23,
    ),
    Model(
        'recurrent_gemma',
        config(
            'recurrent_gemma',
            'RecurrentGemmaForCausalLM',
            # 36: the reference multiplies embeddings by the root of the width rounded to bfloat16, here exactly 6.
            hidden_size=36,
            intermediate_size=52,
            lru_width=36,
            num_hidden_layers=3,
            num_attention_heads=3,
            num_key_value_heads=1,
            block_types=['recurrent', 'recurrent', 'attention'],
            attention_window_size=7,
            conv1d_width=4,
            hidden_activation='gelu_pytorch_tanh',
            partial_rotary_factor=0.5,
            rope_theta=10000.0,
            attention_bias=False,
            logits_soft_cap=30.0,
            rms_norm_eps=1e-6,
            tie_word_embeddings=True,
        ),
        written=False,
    ),
]
