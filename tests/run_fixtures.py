"""What the tests of plan and runner share: a small suite, its prompts and a workshop of fakes."""

from fake_model import FakeJudge, FakeModel, FakeProbe

from ablations.checking import Tables
from ablations.executors import LocalExecutor
from ablations.loading import load_suite
from ablations.plan import Judges, ProbeUse, plan_work
from ablations.resolving import Choice, resolve
from ablations.runner import Site
from ablations.workshop import Judge, Workshop
from dalle2eval.records import Prompt
from dalle2eval.store import Store

SUITE = """\
question: Does it work?
model: {name: fake}
prompts: {set: fake/ten, n: 10}
samples_per_prompt: 2
sizes: {all: 64, word: 256}
showcase: {set: fake/shown, n: 1, size: 1024}
arms:
  prior: {}
  eps: {reference: prior, prior: eps}
  guidance: {reference: prior, grid: {guidance_scale: [1.0, 3.0]}}
metrics: [fd_scenes, clip_score]
probes: [composition]
"""


def fake_prompts(name, n):
    if name == "fake/shown":
        return (Prompt(id="shown/0", text="a shown thing", tags=("single",)),)
    assert name == "fake/ten"
    tags = ("single", "count", "word")
    return tuple(
        Prompt(
            id=f"p{i:02d}",
            text=f"a thing number {i}",
            tags=(tags[i % 3],),
            facts={"objects": [{"shape": "circle", "colour": "red", "size": None}],
                   "counted": False, "relation": None, "word": None, "word_colour": None},
        )
        for i in range(n or 10)
    )  # fmt: skip


TABLES = Tables(
    metrics=frozenset({"fd_scenes", "kid_scenes", "clip_score"}),
    probes={"composition": ("composition.colour",)},
)
JUDGES = Judges(
    judge=Judge(name="scenes", weights="1" * 64),
    label="scenes@111111111111",
    probes=(ProbeUse(name="composition", image_size=64, seconds_per_image=0.001),),
    needs_features=True,
    needs_alignment=True,
)


def make_plan(path, *overrides, text=SUITE, model=None, **choice):
    path.write_text(text)
    loaded = load_suite(str(path), overrides)
    return resolve(
        loaded,
        model or FakeModel(),
        load_prompts=fake_prompts,
        tables=TABLES,
        choice=Choice(**choice),
        judged_by={"judge": "scenes", "weights": "1" * 64},
    )


def make_work(path, *overrides, **choice):
    return plan_work(make_plan(path, *overrides, **choice), FakeModel(), JUDGES)


def make_site(folder, store, *, model=None, executor=None):
    model = model or FakeModel()
    return Site(
        folder=folder,
        store=Store(store),
        workshop=Workshop(
            open_model=lambda: model,
            open_judge=FakeJudge,
            probes={"composition": FakeProbe()},
        ),
        executor=executor or LocalExecutor(),
        environment=lambda: {"python": "3"},
    )
