"""What is answered: the same as offline, in the described shape, by the model that was named."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sites import BoxEngine, Engine, MaskEngine, Pixels, Site, card, form, picture, png, proven, site, source

from svertka.runtime.predictor import Predictor
from svertka.runtime.preprocess import Preprocess
from svertka.serving.models import Explanation

FORM = {"Content-Type": "multipart/form-data; boundary=limit"}


def offline(image: Pixels) -> dict[str, Any]:
    (result,) = proven(Engine()).predict([image])
    return result.to_json()


@pytest.mark.parametrize("shape", [(11, 13), (1, 40), (64, 3)])
def test_a_form_and_json_give_the_offline_prediction(colours: Site, shape: tuple[int, int]) -> None:
    image = picture(0, shape)
    document = json.dumps({"image": base64.b64encode(png(image)).decode()}).encode()
    answers = [
        colours.post("/v1/predict", png(image)),
        colours.ask("/v1/predict", document, {"Content-Type": "application/json"}),
    ]
    for answer in answers:
        assert answer.status == 200, answer.body
        assert answer.json["model"] == "colours"
        assert answer.json["drawn"] is None
        assert answer.json["seconds"] > 0
        best = answer.json["result"]["classes"][0]
        assert answer.json["line"].startswith(f"{best['name']} ({best['score']:.1%})")
        assert answer.json["result"]["classes"] == [
            {"name": entry["name"], "score": pytest.approx(entry["score"], abs=1e-6)}
            for entry in offline(image)["classes"]
        ]


@pytest.mark.parametrize(
    "spelt",
    [
        lambda data: base64.encodebytes(data).decode(),
        lambda data: base64.encodebytes(data).decode().replace("\n", "\r\n"),
        lambda data: base64.b64encode(data).decode().rstrip("="),
        lambda data: base64.urlsafe_b64encode(data).decode(),
        lambda data: base64.urlsafe_b64encode(data).decode().rstrip("="),
        lambda data: "data:image/png;base64," + base64.b64encode(data).decode(),
        lambda data: "DATA:;BASE64," + base64.encodebytes(data).decode(),
        lambda data: "data:image/png;name=a.png;base64,\n" + base64.urlsafe_b64encode(data).decode(),
    ],
)
def test_base64_is_read_however_it_is_spelt(colours: Site, spelt: Callable[[bytes], str]) -> None:
    for seed in range(3):  # of lengths that are padded differently
        data = png(picture(seed)) + bytes(seed)
        plain = colours.post("/v1/predict", data).json["result"]
        body = json.dumps({"image": spelt(data)}).encode()
        reply = colours.ask("/v1/predict", body, {"Content-Type": "application/json"})
        assert reply.status == 200, reply.body
        assert reply.json["result"] == plain


def test_line_ends_do_not_count_against_the_limit_of_an_image() -> None:
    data = png(picture(0, (300, 300)))
    text = base64.encodebytes(data).decode().replace("\n", "\r\n")
    with site({"one": source(proven(Engine()))}, bytes=len(data)) as server:
        body = json.dumps({"image": text}).encode()
        assert len(body) > len(data) * 4 // 3 + 2**14
        assert server.ask("/v1/predict", body, {"Content-Type": "application/json"}).status == 200


def test_a_photo_is_turned_upright() -> None:
    image = np.zeros((20, 10, 3), np.uint8)
    image[:10] = 255, 0, 0
    image[10:] = 0, 0, 255
    tags = Image.Exif()
    tags[274] = 3
    file = io.BytesIO()
    Image.fromarray(image[::-1, ::-1]).save(file, "PNG", exif=tags)
    engine = Engine()
    shown: list[Pixels] = []

    def explain(given: Pixels, target: str | None) -> Explanation:
        shown.append(given)
        return Explanation(target or "red", "somewhere", given)

    with site({"one": source(proven(engine), explain)}) as server:
        assert server.post("/v1/explain", file.getvalue()).status == 200
    assert np.array_equal(shown[0], image)


def test_a_model_answers_to_its_name_and_the_first_to_none() -> None:
    sources = {"plain": source(proven(Engine())), "a / b?": source(proven(Engine(scale=-1.0)))}
    image = np.zeros((9, 9, 3), np.uint8)
    image[..., 0] = 255
    with site(sources) as server:
        best = {}
        for query in ("", "?model=plain", "?model=a+%2F+b%3F"):
            best[query] = server.post(f"/v1/predict{query}", png(image)).json["result"]["classes"][0]["name"]
        assert best == {"": "red", "?model=plain": "red", "?model=a+%2F+b%3F": "green"}
        assert [model["name"] for model in server.ask("/v1/models").json["models"]] == list(sources)
        refused = server.post("/v1/predict?model=plane", png(image))
        assert (refused.status, refused.what) == (404, "no model 'plane'")
        assert refused.json["error"]["mend"] == "did you mean plain?"


def test_what_can_be_known_of_a_model(colours: Site) -> None:
    told = colours.ask("/v1/models").json
    (model,) = told["models"]
    assert model["classes"] == ["red", "green", "blue"]
    assert model["provenance"] == {"data": {"name": "цвета"}}
    assert model["golden"] == {"inputs": 1, "largest_difference": 0.0}
    assert model["batch"] in (1, 2, 4, 8, 16)
    assert set(model["batch_seconds"]) >= {"1", str(model["batch"])}
    assert model["explains"] is False
    assert told["limits"]["bytes"] == 2**24
    assert 8 <= told["limits"]["images"] <= 64


def masks() -> Predictor:
    changed = {"task": "segmentation", "input": Preprocess(height=32, width=32, fit="whole")}
    return Predictor(MaskEngine(), card(**changed))


@pytest.mark.parametrize("shape", [(40, 33), (700, 90)])
def test_masks_are_those_of_the_whole_image_and_can_be_drawn(shape: tuple[int, int]) -> None:
    image = np.kron(picture(1, (4, 3)), np.ones((shape[0] // 4, shape[1] // 3, 1), np.uint8))
    (expected,) = masks().predict([image])
    with site({"masks": source(masks())}) as server:
        assert server.ask("/v1/models").json["models"][0]["batch"] == 1
        answer = server.post("/v1/predict?drawn=true", png(image)).json
        assert answer["result"] == expected.to_json()
        assert server.post("/v1/predict?drawn=false", png(image)).json["drawn"] is None
        kind, _, data = answer["drawn"].partition(",")
        assert kind == "data:image/png;base64"
        drawn = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
        assert np.array_equal(drawn, expected.shown(image))


def test_boxes_are_told_in_pixels_of_the_image_that_was_sent_and_can_be_drawn() -> None:
    finder = Predictor(BoxEngine(), card(task="detection", thresholds=(0.5, 0.5, 0.5)))
    image = np.zeros((30, 70, 3), np.uint8)
    image[..., 1] = 204
    with site({"boxes": source(finder)}) as server:
        answer = server.post("/v1/predict?drawn=true", png(image)).json
        (found,) = answer["result"]["objects"]
        assert found == {"name": "green", "score": pytest.approx(0.8), "left": 0, "top": 0, "right": 35, "bottom": 30}
        assert answer["line"] == "1 × green"
        drawn = np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["drawn"].partition(",")[2]))))
        assert np.array_equal(drawn, finder.predict([image])[0].shown(image))
        assert server.post("/v1/predict", png(np.zeros((9, 9, 3), np.uint8))).json["result"] == {"objects": []}


def test_a_drawing_is_no_larger_than_a_screen() -> None:
    image = np.zeros((60, 3000, 3), np.uint8)
    with site({"masks": source(masks())}) as server:
        drawn = server.post("/v1/predict?drawn=true", png(image)).json["drawn"]
    width, height = Image.open(io.BytesIO(base64.b64decode(drawn.partition(",")[2]))).size
    assert (width, height > 20) == (1024, True)  # the key to the colours stands below the image


def test_an_explanation_is_of_the_class_that_was_asked_for() -> None:
    def explain(image: Pixels, target: str | None) -> Explanation:
        return Explanation(target or "likeliest", "stage3", image)

    image = picture(2)
    with site({"one": source(proven(Engine()), explain), "other": source(proven(Engine()))}) as server:
        told = server.post("/v1/explain?class=blue", png(image)).json
        assert (told["class"], told["layer"], told["method"]) == ("blue", "stage3", "grad_cam")
        data = base64.b64decode(told["picture"].partition(",")[2])
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), image)
        assert server.post("/v1/explain", png(image)).json["class"] == "likeliest"
        assert server.post("/v1/explain?class=bleu", png(image)).status == 404
        refused = server.post("/v1/explain?model=other", png(image))
        assert (refused.status, refused.what) == (501, "other cannot be explained here")
        assert [model["explains"] for model in server.ask("/v1/models").json["models"]] == [True, False]


def test_alive_ready_and_counted(colours: Site) -> None:
    assert colours.ask("/healthz").body == b"alive\n"
    assert colours.ask("/readyz").status == 200
    before = counted(colours, "/v1/predict", 200)
    colours.post("/v1/predict", png(picture(3)))
    assert counted(colours, "/v1/predict", 200) == before + 1
    strange = counted(colours, "other", 404)
    colours.ask("/no/such/path/9e1f")
    assert counted(colours, "other", 404) == strange + 1
    text = colours.ask("/metrics").body.decode()
    assert "9e1f" not in text
    for name in ("svertka_batch_images_bucket", "svertka_images_per_second", "process_resident_memory_bytes"):
        assert f"\n{name}" in text


def counted(server: Site, route: str, status: int) -> float:
    text = server.ask("/metrics").body.decode()
    found = re.search(rf'svertka_requests_total{{route="{route}",status="{status}"}} (\S+)', text)
    return float(found[1]) if found else 0.0


def test_the_description_describes_what_there_is(colours: Site) -> None:
    api = colours.ask("/openapi.json").json
    for path, operations in api["paths"].items():
        for method in operations:
            reply = colours.ask(path, b"" if method == "post" else None, FORM, method.upper())
            assert reply.status not in (404, 405), path
    assert "16,777,216 bytes" in api["info"]["description"]
    references = set(re.findall(r'"#/([^"]+)"', json.dumps(api)))
    assert references
    for reference in references:
        part = api
        for name in reference.split("/"):
            part = part[name]
    schemas = api["components"]["schemas"]
    answer = colours.post("/v1/predict", png(picture(4))).json
    assert sorted(answer) == sorted(schemas["Prediction"]["required"])
    (model,) = colours.ask("/v1/models").json["models"]
    assert sorted(model) == sorted(schemas["Model"]["required"])
    refused = colours.ask("/v1/predict", b"", FORM).json
    assert sorted(refused["error"]) == sorted(schemas["Error"]["properties"]["error"]["required"])


@pytest.mark.parametrize("path", ["/", "/docs", "/page.css", "/page.js", "/docs.js", "/icon.svg"])
def test_pages_load_nothing_from_elsewhere(colours: Site, path: str) -> None:
    reply = colours.ask(path)
    assert reply.status == 200
    text = reply.body.decode()
    assert not re.findall(
        r"(?:src|href)=(?!\"(?:\./|#[a-z]+|[a-z]+(?:\.[a-z]+)?)\")|https?://(?!www\.w3\.org/2000/svg)|@import|url\(",
        text,
    )


def test_a_path_is_no_file(colours: Site) -> None:
    for path in ("/..%2f..%2fetc/passwd", "/page/../../app.py", "//etc/passwd", "/index.html", "/v1/models/"):
        assert colours.ask(path).status == 404


def test_a_file_name_is_never_looked_at(colours: Site) -> None:
    for name in ("../../etc/passwd", "<script>alert(1)</script>", "a" * 3000, "\\\\host\\share", "|id"):
        assert colours.ask("/v1/predict", form(png(picture(5)), filename=name), FORM).status == 200
