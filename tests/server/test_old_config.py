"""Settings of A1111 taken over: what becomes of each, and that a hostile file is answered with a sentence."""

import json
from pathlib import Path
from typing import Any

import pytest

from modules.errors import BadRequest
from modules.images.plain_entries import PLAIN
from modules.options import OPTIONS
from modules.request import Encoding, Guidance, Sampling
from modules.server.old_config import BOUNDS, FIELDS, NAMES, REASONS, UNKNOWN, Report, read_config, take_over
from modules.server.server import Server
from modules.words import LANGUAGES, load_words
from tests.serving import fake_server

DETAILS = (
    *(f"sampling/{name}" for name in Sampling.model_fields),
    *(f"guidance/{name}" for name in Guidance.model_fields),
    *(f"{name}/{field}" for name, (_, own) in PLAIN.items() for field in own),
    *(f"encoding/{name}" for name in Encoding.model_fields),
    *("tiling", "old_timelines", "downcast_alphas", "noise_schedule", "pad_conds"),
)
SHARED = ("model", "vae", "clip_skip", "prompt", "negative_prompt", "steps", "width", "height", "seed", "sampler")
MORE = ("schedule", "cfg_scale", "batch_count", "batch_size", "noise_source", "seed_delta", "variation/seed", *DETAILS)
OVER = ("init/noise_multiplier", "init/mask_weight")
FORMS = {
    "txt2img": frozenset((*SHARED, *MORE, "hires_on", "hires/upscaler", "hires/scale", "hires/sampler", "hires/width")),
    "img2img": frozenset(
        (*SHARED, *MORE, *OVER, "init/color_correction", "init/background", "init/resize_mode", "scale_by")
    ),
    "inpaint": frozenset(
        (*SHARED, *MORE, *OVER, "init/denoising_strength", "mask/fill", "mask/invert", "init/resize_mode")
    ),
}


@pytest.fixture
def server(tmp_path: Path) -> Any:
    made = fake_server(tmp_path)
    yield made
    made.stop()


def take(server: Server, values: Any) -> Report:
    return take_over(json.dumps(values), server, "local", FORMS)


def refused(report: Report) -> dict[str, str]:
    return {each.key: str(each.error) for each in report.refused}


def test_options_become_options(server: Server) -> None:
    report = take(
        server,
        {
            "show_progress_every_n_steps": 10,
            "control_net_unit_count": 5,
            "auto_launch_browser": "Remote",
            "ESRGAN_tile": 192,
            "ESRGAN_tile_overlap": 8,
            "sd_checkpoints_limit": 2,
            "disable_all_extensions": "extra",
        },
    )
    assert report.refused == [] and report.none == {}
    values = {each.option.key: each.value for each in server.options.all()}
    assert (values["preview_every"], values["controlnet_units"], values["autolaunch"]) == (10, 5, True)
    assert (values["upscale_tile"], values["upscale_overlap"], values["models_in_memory"]) == (192, 8, 2)
    assert values["disable_all_extensions"] is True
    (tile,) = [each for each in report.taken if each.key == "ESRGAN_tile"]
    assert (tile.old, tile.where, tile.new) == ("192", "settings.upscale_tile", 192)


@pytest.mark.parametrize("first", [True, False])
def test_previews_that_are_switched_off_stay_off(server: Server, first: bool) -> None:
    entries = [("live_previews_enable", False), ("show_progress_every_n_steps", 10)]
    take(server, dict(entries if first else reversed(entries)))
    assert server.options.get("preview_every").value == 0
    take(server, {"live_previews_enable": True, "show_progress_every_n_steps": -1})
    assert server.options.get("preview_every").value == 0


def test_the_row_on_top_keeps_its_order_and_names_what_it_cannot_hold(server: Server) -> None:
    names = ["emphasis", "sd_model_checkpoint", "localization", "eta_noise_seed_delta", "show_progress_every_n_steps"]
    report = take(server, {"quicksettings_list": names})
    row = ("emphasis", "sd_model_checkpoint", "eta_noise_seed_delta", "preview_every")
    assert server.options.chosen_row == row
    assert [each.old for each in report.refused] == ["localization"]
    assert "cannot hold localization" in str(report.refused[0].error)


def test_what_is_a_field_here_becomes_a_default_of_the_forms(server: Server) -> None:
    report = take(
        server,
        {
            "sd_model_checkpoint": "dreams",
            "sd_vae": "None",
            "CLIP_stop_at_last_layers": 2,
            "randn_source": "NV",
            "eta_noise_seed_delta": 31337,
            "img2img_color_correction": True,
            "img2img_background_color": "#102030",
        },
    )
    assert refused(report) == {}
    for tab in FORMS:
        kept = server.forms.load("local", tab)
        assert (kept["model"], kept["vae"], kept["clip_skip"]) == ("dreams", "None", 2)
        assert (kept["noise_source"], kept["seed_delta"]) == ("NV", 31337)
    assert server.forms.load("local", "img2img")["init/background"] == "#102030"
    assert server.forms.load("local", "img2img")["init/color_correction"] is True
    assert "init/background" not in server.forms.load("local", "txt2img")
    assert server.forms.load("anna", "txt2img") == {}


def test_a_default_without_a_field_is_refused_unless_the_row_gets_it(server: Server) -> None:
    report = take(server, {"emphasis": "No norm"})
    assert "Put it into the row on top" in refused(report)["emphasis"]
    assert refused(take(server, {"emphasis": "Original"})) == {}, "as it is anyway"
    report = take(server, {"emphasis": "No norm", "quicksettings_list": ["sd_model_checkpoint", "emphasis"]})
    assert refused(report) == {} and server.forms.load("local", "txt2img")["emphasis"] == "No norm"


def test_controls_of_the_page_become_defaults(server: Server) -> None:
    report = take(
        server,
        {
            "customscript/sampler.py/txt2img/Sampling method/value": "Euler",
            "customscript/sampler.py/txt2img/Sampling steps/value": 30,
            "txt2img/Width/value": 768,
            "txt2img/Width/minimum": 64,
            "txt2img/Negative prompt/value": "blurry",
            "customscript/seed.py/txt2img/Seed/value": 42,
            "txt2img/Hires. fix/value": True,
            "txt2img/Upscale by/value": 1.5,
            "txt2img/Upscaler/value": "Latent (nearest)",
            "txt2img/Hires sampling method/value": "Use same sampler",
            "img2img/Resize mode/value": "Crop and resize",
            "img2img/Masked content/value": "latent noise",
            "img2img/Mask mode/value": "Inpaint not masked",
            "img2img/Denoising strength/value": 0.4,
            "customscript/xyz_grid.py/txt2img/X values/value": "",
        },
    )
    assert refused(report) == {}
    words = server.forms.load("local", "txt2img")
    assert (words["sampler"], words["steps"], words["width"], words["negative_prompt"]) == ("Euler", 30, 768, "blurry")
    assert (words["seed"], words["hires_on"], words["hires/scale"]) == ("42", True, 1.5)
    assert (words["hires/upscaler"], words["hires/sampler"]) == ("Latent (nearest)", "")
    assert server.forms.load("local", "img2img")["init/resize_mode"] == "crop"
    painted = server.forms.load("local", "inpaint")
    assert (painted["mask/fill"], painted["mask/invert"], painted["init/denoising_strength"]) == ("noise", True, 0.4)
    assert report.none == {
        BOUNDS: ["txt2img/Width/minimum"],
        UNKNOWN: ["customscript/xyz_grid.py/txt2img/X values/value"],
    }


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"ESRGAN_tile": 5000}, "0 to 4096"),
        ({"ESRGAN_tile": "large"}, "0 to 4096"),
        ({"ESRGAN_tile": [1]}, "0 to 4096"),
        ({"CLIP_stop_at_last_layers": 99}, "1 to 12"),
        ({"CLIP_stop_at_last_layers": True}, "cannot be"),
        ({"randn_source": "Dice"}, "CPU, GPU, NV"),
        ({"sd_model_checkpoint": "absent.safetensors [0123456789]"}, "absent"),
        ({"sd_vae": "absent.pt"}, "absent"),
        ({"eta_noise_seed_delta": -5}, "0 to"),
        ({"img2img_background_color": "red"}, "red"),
        ({"img2img_color_correction": {"a": []}}, "cannot be"),
        ({"txt2img/Width/value": 500}, "divides by 8"),
        ({"txt2img/Upscale by/value": 99}, "1 to 4"),
        ({"txt2img/Upscaler/value": "Magic"}, "Magic"),
        ({"txt2img/Sampling method/value": "Magic"}, "There is no sampler named Magic"),
        ({"txt2img/Prompt/value": "a\0b"}, "cannot be saved"),
        ({"txt2img/Prompt/value": "a" * 20_000}, "10000"),
        ({"img2img/Resize mode/value": "Magic"}, "stretch, crop"),
        ({"img2img/Scale/value": float("nan")}, "0 to 4"),
        ({"auto_launch_browser": "Always"}, "true, false"),
    ],
)
def test_what_is_out_of_bounds_is_said_and_leaves_everything_as_it_is(
    server: Server, values: dict[str, Any], says: str
) -> None:
    report = take(server, values)
    assert report.taken == []
    (said,) = refused(report).values()
    assert says in said
    assert all(server.forms.load("local", tab) == {} for tab in FORMS)
    assert all(each.source == "default" for each in server.options.all())


def test_what_the_command_line_says_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASEL_UPSCALE_TILE", "128")
    server = fake_server(tmp_path)
    report = take(server, {"ESRGAN_tile": 192, "ESRGAN_tile_overlap": 8})
    assert "environment variable" in refused(report)["ESRGAN_tile"]
    assert [each.key for each in report.taken] == ["ESRGAN_tile_overlap"]
    server.stop()


def test_the_rest_is_listed_with_its_reason(server: Server) -> None:
    report = take(server, {"outdir_samples": "/x", "samples_save": True, "my_extension_setting": 1, "sd_unet": None})
    assert report.none == {
        "none_path": ["outdir_samples"],
        "none_always": ["samples_save"],
        UNKNOWN: ["my_extension_setting"],
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not JSON"),
        ("not json", "not JSON"),
        ("[1, 2]", "an object with names and values"),
        ("null", "an object with names and values"),
        ("[" * 500_000, "an object with names and values"),
        ('{"a":' * 30 + "1" + "}" * 30, "no deeper than 20"),
        ('{"a": ' + "9" * 10_000 + "}", "not JSON"),
        ("{" + " " * 1_000_001 + "}", "too large"),
        ('{"a": 1} trailing', "not JSON"),
        ("\x80PNG", "not JSON"),
    ],
)
def test_a_hostile_file_is_answered_with_a_sentence(text: str, says: str) -> None:
    with pytest.raises(BadRequest) as answer:
        read_config(text)
    assert says in str(answer.value)


def test_of_an_entry_that_stands_there_twice_the_last_counts(server: Server) -> None:
    report = take_over('\ufeff{"ESRGAN_tile": 64, "ESRGAN_tile": 128}', server, "local", FORMS)
    assert [each.old for each in report.taken] == ["128"]


def test_odd_names_and_values_can_be_shown(server: Server) -> None:
    text = json.dumps({"\ud800<b>": 1, "x" * 5000: 2, "ESRGAN_tile": "\ud800", "a/b": 1, "//": 2, "customscript/": 3})
    report = take_over(text, server, "local", FORMS)
    shown = [*report.none[UNKNOWN], *(each.old for each in report.refused)]
    assert len(shown) == 6 and all(len(each) <= 80 and each.encode() for each in shown)


def test_every_name_has_one_reason_or_a_place_and_every_reason_is_said() -> None:
    named = json.loads(NAMES.read_text(encoding="utf-8"))
    assert set(named) == set(REASONS)
    names = [name for keys in named.values() for name in keys]
    assert len(names) == len(set(names)) and len({*names, *FIELDS, *(each.key for each in OPTIONS)}) > 300
    taken = {*FIELDS, *(name for option in OPTIONS for name in option.a1111)}
    assert not taken & set(names), "take these out of old_names.json: they have a place here now"
    for reason in (*REASONS, BOUNDS, UNKNOWN):
        assert all(f"settings.{reason}" in load_words(language).sentences for language in LANGUAGES)


def test_what_samplers_and_guidance_are_told_becomes_a_default_too(server: Server) -> None:
    old = {
        "eta_ancestral": 0.67,
        "s_churn": 4,
        "always_discard_next_to_last_sigma": True,
        "s_min_uncond": 1.5,
        "skip_early_cond": 0.2,
        "tiling": True,
        "use_old_scheduling": True,
        "sd_noise_schedule": "Zero Terminal SNR",
        "pad_cond_uncond_v0": True,
        "s_noise": 7,
        "use_old_emphasis_implementation": True,
        "comma_padding_backtrack": 7,
        "sdxl_clip_l_skip": True,
        "enable_prompt_comments": False,
        "hires_fix_use_firstpass_conds": True,
    }
    report = take(server, old)
    assert [each.key for each in report.refused] == ["s_noise"] and not report.none
    kept = server.forms.defaults("local", "txt2img")
    wanted = {
        "sampling/eta": 0.67,
        "sampling/s_churn": 4,
        "sampling/discard_penultimate": True,
        "guidance/s_min_uncond": 1.5,
        "guidance/skip_early": 0.2,
        "tiling": True,
        "old_timelines": True,
        "noise_schedule": "Zero Terminal SNR",
        "encoding/old_emphasis": True,
        "encoding/comma_backtrack": 7,
        "encoding/clip_l_skip": True,
        "encoding/comments": False,
        "encoding/first_pass_networks": True,
        "pad_conds": "v0",
    }
    assert {name: kept[name] for name in wanted} == wanted
    take(server, {"pad_cond_uncond": False, "pad_cond_uncond_v0": False})
    assert server.forms.defaults("local", "txt2img")["pad_conds"] == "off"


def test_what_is_laid_over_a_picture_becomes_a_default_of_what_paints_over_one(server: Server) -> None:
    old = {"initial_noise_multiplier": 0.9, "inpainting_mask_weight": 0.5, "img2img_extra_noise": 0.05}
    report = take(server, old)
    assert refused(report) == {} and report.none == {}
    for tab in FORMS:
        kept = server.forms.defaults("local", tab)
        assert kept["sampling/extra_noise"] == 0.05
        over = {name: kept[name] for name in OVER if name in kept}
        wanted = {"init/noise_multiplier": 0.9, "init/mask_weight": 0.5}
        assert over == ({} if tab == "txt2img" else wanted)


def test_old_levels_of_noise_are_taken_as_their_numbers_where_there_are_no_others(server: Server) -> None:
    old = {"use_old_karras_scheduler_sigmas": True, "sigma_min": 0.0, "sigma_max": 12.0, "beta_dist_alpha": 0.5}
    report = take(server, old)
    assert refused(report) == {} and report.none == {}
    kept = server.forms.defaults("local", "txt2img")
    assert (kept["sampling/sigma_min"], kept["sampling/sigma_max"]) == (0.1, 12.0)
    assert kept["sampling/beta_dist_alpha"] == 0.5
    assert take(server, {"use_old_karras_scheduler_sigmas": False}).taken == []


def test_what_unipc_and_ddim_are_told_becomes_a_default(server: Server) -> None:
    old = {"uni_pc_variant": "bh2", "uni_pc_skip_type": "logSNR", "uni_pc_order": 2, "uni_pc_lower_order_final": False}
    report = take(server, old | {"ddim_discretize": "quad", "enable_quantization": True})
    assert refused(report) == {} and report.none == {}
    kept = server.forms.defaults("local", "txt2img")
    assert {name: kept[f"sampling/{name}"] for name in old} == old
    assert (kept["sampling/ddim_discretize"], kept["sampling/quantize"]) == ("quad", True)
    report = take(server, {"uni_pc_variant": "bh9", "uni_pc_order": 99})
    assert "bh1, bh2, vary_coeff" in refused(report)["uni_pc_variant"] and "1 to 50" in refused(report)["uni_pc_order"]


def test_merged_tokens_of_what_paints_over_a_picture_count_there_alone(server: Server) -> None:
    old = {"token_merging_ratio_img2img": 0.0, "token_merging_ratio": 0.3, "token_merging_ratio_hr": 0.5}
    report = take(server, old)
    assert refused(report) == {} and report.none == {}
    assert {tab: server.forms.defaults("local", tab)["merging/merge_ratio"] for tab in FORMS} == dict.fromkeys(
        FORMS, 0.3
    )
    assert server.forms.defaults("local", "txt2img")["merging/merge_ratio_hires"] == 0.5
    take(server, old | {"token_merging_ratio_img2img": 0.6})
    kept = {tab: server.forms.defaults("local", tab)["merging/merge_ratio"] for tab in FORMS}
    assert kept == {"txt2img": 0.3, "img2img": 0.6, "inpaint": 0.6}


def test_hypertile_of_the_network_is_taken_over(server: Server) -> None:
    old = {"hypertile_enable_unet": True, "hypertile_max_depth_unet": 1, "hypertile_max_tile_unet": 128}
    report = take(server, old | {"hypertile_swap_size_unet": 5, "hypertile_enable_unet_secondpass": True})
    assert refused(report) == {} and report.none == {}
    kept = server.forms.defaults("local", "img2img")
    own = {name.partition("/")[2]: value for name, value in kept.items() if name.startswith("hypertile/")}
    wanted = {"tile_attention": True, "tile_attention_hires": True, "max_depth": 1, "max_tile": 128, "swap_size": 5}
    assert own == wanted


def test_what_helps_with_prompts_becomes_options(server: Server) -> None:
    old = {
        "keyedit_delimiters_whitespace": ["Tab"],
        "keyedit_precision_attention": 0.05,
        "infotext_skip_pasting": ["Seed", "Size"],
        "lora_preferred_name": "Alias from file",
        "send_seed": False,
        "notification_volume": 30,
        "save_init_img": True,
        "interrupt_after_current": True,
    }
    report = take(server, old)
    assert report.refused == [] and report.none == {}
    kept = {key: server.options.get(key).value for key in old}
    assert kept == {**old, "keyedit_delimiters_whitespace": "Tab", "infotext_skip_pasting": "Seed, Size"}
    assert "any of Tab" in refused(take(server, {"keyedit_delimiters_whitespace": ["Bell"]})).popitem()[1]
