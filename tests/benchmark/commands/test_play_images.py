"""The policy of images that comes with the repository is watched like any other."""

from benchmark.commands.play import make_session
from benchmark.plan.request import PlayRequest
from benchmark.play.planner import Planner

START = (100.0, 120.0, 300.0, 300.0, 0.5)


def test_the_shipped_policy_of_images_plans_from_what_the_table_looks_like() -> None:
    session = make_session(PlayRequest(task="pusht-image", policy=("shipped",)))
    [trained] = session.policies
    assert trained.agent.spec.images == {"pixels": (96, 96, 3)}
    drawn = Planner(trained, seed=0, others=1).think(START)
    assert drawn.shape == (2, 15, 2)
    assert ((drawn > -64) & (drawn < 576)).all()  # px, on the table or near it
