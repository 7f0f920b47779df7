"""What other tools write into pictures is understood, and what nobody would write is left."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modules.images.foreign import understood

GRAPH: dict[str, Any] = {
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 42,
            "steps": 25,
            "cfg": 6.5,
            "sampler_name": "dpmpp_2m",
            "scheduler": "karras",
            "denoise": 1.0,
            "model": ["10", 0],
            "positive": ["6", 0],
            "negative": ["7", 0],
            "latent_image": ["5", 0],
        },
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "folder\\dream.safetensors"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 640, "height": ["9", 0], "batch_size": 1}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a cat", "clip": ["10", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "dog", "clip": ["10", 1]}},
    "9": {"class_type": "PrimitiveInt", "inputs": {"value": 512}},
    "10": {
        "class_type": "LoraLoader",
        "inputs": {"lora_name": "ink.safetensors", "strength_model": 0.8, "model": ["4", 0], "clip": ["4", 1]},
    },
}
SHOWN = {
    "nodes": [
        {
            "id": 3,
            "type": "KSampler",
            "inputs": [
                {"name": "model", "link": 1},
                {"name": "positive", "link": 2},
                {"name": "negative", "link": 3},
                {"name": "latent_image", "link": 4},
            ],
            "widgets_values": [42, "randomize", 25, 6.5, "dpmpp_2m", "karras", 1],
        },
        {"id": 4, "type": "CheckpointLoaderSimple", "widgets_values": ["dream.safetensors"]},
        {"id": 5, "type": "EmptyLatentImage", "widgets_values": [640, 512, 1]},
        {"id": 6, "type": "CLIPTextEncode", "inputs": [{"name": "clip", "link": 5}], "widgets_values": ["a cat"]},
        {"id": 7, "type": "CLIPTextEncode", "inputs": [{"name": "clip", "link": 5}], "widgets_values": ["dog"]},
        {"id": 8, "type": "Note", "widgets_values": ["hello"]},
    ],
    "links": [
        [1, 4, 0, 3, 0, "MODEL"],
        [2, 6, 0, 3, 1, "C"],
        [3, 7, 0, 3, 2, "C"],
        [4, 5, 0, 3, 3, "L"],
        [5, 4, 1, 6, 0, "CLIP"],
    ],
}
COMFY = {
    "Prompt": "a cat",
    "Negative prompt": "dog",
    "Steps": "25",
    "CFG scale": "6.5",
    "Seed": "42",
    "RNG": "CPU",
    "Sampler": "DPM++ 2M",
    "Schedule type": "Karras",
    "Model": "dream",
    "Size-1": "640",
    "Size-2": "512",
}


def fields(tool: str, **texts: object) -> dict[str, str]:
    """Return what is understood of texts, given as such or as what JSON is made of."""
    found = understood({name: each if isinstance(each, str) else json.dumps(each) for name, each in texts.items()})
    assert found is not None and found.tool == tool
    return found.fields


def test_the_graph_that_comfyui_ran() -> None:
    assert fields("ComfyUI", prompt=GRAPH) == COMFY | {"Prompt": "a cat <lora:ink:0.8>"}


def test_the_graph_that_comfyui_shows() -> None:
    assert fields("ComfyUI", workflow=SHOWN) == COMFY


def test_comfyui_painting_over_a_picture_with_parts_of_a_sampler() -> None:
    graph = {
        "1": {
            "class_type": "SamplerCustomAdvanced",
            "inputs": {
                "noise": ["2", 0],
                "guider": ["3", 0],
                "sampler": ["4", 0],
                "sigmas": ["5", 0],
                "latent_image": ["6", 0],
            },
        },
        "2": {"class_type": "RandomNoise", "inputs": {"noise_seed": 7}},
        "3": {"class_type": "BasicGuider", "inputs": {"model": ["8", 0], "conditioning": ["7", 0]}},
        "4": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "euler"}},
        "5": {"class_type": "BasicScheduler", "inputs": {"scheduler": "simple", "steps": 4, "denoise": 0.6}},
        "6": {"class_type": "VAEEncode", "inputs": {}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "a fox"}},
        "8": {"class_type": "UNETLoader", "inputs": {"unet_name": "flux.sft"}},
    }
    found = fields("ComfyUI", prompt=graph)
    expected = {"Prompt": "a fox", "Seed": "7", "Steps": "4", "Sampler": "Euler", "Schedule type": "Simple"}
    assert expected | {"Denoising strength": "0.6", "Model": "flux"} == {
        name: found[name] for name in found if name in (*expected, "Denoising strength", "Model")
    }


def test_novelai() -> None:
    comment = {"steps": 28, "sampler": "k_dpmpp_2m", "seed": 5, "scale": 11.0, "uc": "bad", "width": 512, "height": 768}
    found = fields("NovelAI", Software="NovelAI", Description="{girl}", Comment=comment)
    assert found["Prompt"] == "{girl}" and found["Negative prompt"] == "bad" and found["CFG scale"] == "11"
    assert (found["Sampler"], found["Clip skip"], found["ENSD"]) == ("DPM++ 2M", "2", "31337")
    assert "Denoising strength" not in found and "CFG Rescale" not in found
    assert fields("NovelAI", Software="NovelAI", Comment={**comment, "cfg_rescale": 0.3})["CFG Rescale"] == "0.3"
    found = fields("NovelAI", Software="NovelAI", Comment={**comment, "sampler": "?", "image": "", "strength": 0.7})
    assert (found["Sampler"], found["Denoising strength"]) == ("Euler a", "0.7")


def test_invokeai_now_and_before() -> None:
    now = {
        "positive_prompt": "a cat",
        "negative_prompt": "dog",
        "width": 512,
        "height": 640,
        "seed": 9,
        "rand_device": "cpu",
        "cfg_scale": 7.5,
        "steps": 30,
        "scheduler": "dpmpp_2m_k",
        "clip_skip": 1,
        "model": {"name": "dream", "base": "sd-1"},
        "loras": [{"model": {"name": "ink"}, "weight": 0.75}],
    }
    found = fields("InvokeAI", invokeai_metadata=now)
    assert found["Prompt"] == "a cat <lora:ink:0.75>" and found["Model"] == "dream" and found["Clip skip"] == "2"
    assert (found["Sampler"], found["Schedule type"], found["RNG"]) == ("DPM++ 2M", "Karras", "CPU")
    assert "Tiling" not in found
    found = fields(
        "InvokeAI", invokeai_metadata={**now, "seamless_x": True, "seamless_y": True, "cfg_rescale_multiplier": 0.7}
    )
    assert (found["Tiling"], found["CFG Rescale"]) == ("True", "0.7")
    image = {"prompt": [{"prompt": "a cat [dog]", "weight": 1}], "steps": 50, "seed": 1, "sampler": "k_euler_a"}
    found = fields("InvokeAI", **{"sd-metadata": {"model_weights": "sd-1.5", "image": image}})
    assert (found["Prompt"], found["Negative prompt"], found["Sampler"]) == ("a cat", "dog", "Euler a")
    found = fields("InvokeAI", Dream='"a cat [dog]" -s 50 -S 123 -W 512 -H 640 -C 7.5 -A k_lms')
    assert (found["Prompt"], found["Seed"], found["Size-2"], found["Sampler"]) == ("a cat", "123", "640", "LMS")


def test_fooocus() -> None:
    said = {
        "prompt": "a cat",
        "negative_prompt": "",
        "styles": "['Fooocus V2']",
        "performance": "Speed",
        "resolution": "(1152, 896)",
        "guidance_scale": 4.0,
        "steps": 30,
        "base_model": "juggernaut.safetensors",
        "base_model_hash": "aeb7e9e689",
        "sampler": "dpmpp_2m_sde_gpu",
        "scheduler": "karras",
        "seed": "3",
        "lora_combined_1": "ink.safetensors : 0.1",
        "vae": "Default (model)",
        "version": "Fooocus v2.5.5",
    }
    found = fields("Fooocus", parameters=said)
    assert found["Prompt"] == "a cat <lora:ink:0.1>" and (found["Size-1"], found["Size-2"]) == ("1152", "896")
    assert (found["Sampler"], found["Schedule type"], found["Model"]) == ("DPM++ 2M SDE", "Karras", "juggernaut")
    assert found["Styles"] == "['Fooocus V2']" and "VAE" not in found


@pytest.mark.parametrize("inside", [False, True])
def test_easy_diffusion(inside: bool) -> None:
    said = {
        "prompt": "a cat",
        "negative_prompt": "dog",
        "seed": "4",
        "num_inference_steps": "25",
        "guidance_scale": "7.5",
        "width": "512",
        "height": "512",
        "sampler_name": "euler_a",
        "use_stable_diffusion_model": "/models/dream.ckpt",
        "clip_skip": "True",
        "use_lora_model": '["ink"]',
        "lora_alpha": "[0.4]",
    }
    found = fields("Easy Diffusion", parameters=said) if inside else fields("Easy Diffusion", **said)
    assert found["Prompt"] == "a cat <lora:ink:0.4>" and found["Model"] == "dream" and found["Clip skip"] == "2"
    assert (found["Sampler"], found["Steps"], found["CFG scale"]) == ("Euler a", "25", "7.5")


def test_a_text_of_the_reference_is_nobody_elses() -> None:
    assert understood({"parameters": "a cat\nSteps: 1, Sampler: Euler, Seed: 1"}) is None
    assert understood({}) is None


PLACES = ("parameters", "prompt", "workflow", "sd-metadata", "invokeai_metadata", "Comment", "Dream", "Software")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 10**6,
        '{"a":' * 10**5,
        '{"nodes": [null, 5, {"type": 3}], "links": [1, [2]]}',
        "9" * 10**6,
        "\ud800\0<script>",
    ],
)
def test_hostile_texts_are_answered_at_once(text: str) -> None:
    understood(dict.fromkeys(PLACES, text))
    understood({**dict.fromkeys(PLACES, text), "Software": "NovelAI"})


KEYS = [
    "class_type",
    "inputs",
    "nodes",
    "links",
    "image",
    "prompt",
    "positive_prompt",
    "model",
    "loras",
    "sampler_name",
    "steps",
    "guidance_scale",
    "base_model",
    "resolution",
    "num_inference_steps",
    "use_lora_model",
    "lora_alpha",
]
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=2), inner),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(PLACES), junk.map(json.dumps)))
def test_understanding_never_fails(texts: dict[str, str]) -> None:
    found = understood(texts)
    assert found is None or all(isinstance(value, str) for value in found.fields.values())


def test_graphs_that_lead_in_circles_end() -> None:
    graph = {
        str(n): {
            "class_type": "KSampler",
            "inputs": {
                "sampler_name": "euler",
                "steps": [str(n), 0],
                "positive": [str((n + 1) % 3), 0],
                "model": [str(n), 0],
            },
        }
        for n in range(3)
    }
    assert fields("ComfyUI", prompt=graph)["Sampler"] == "Euler"
