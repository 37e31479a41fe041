"""The studies: every claim of the paper as a command, one file a claim."""

from benchmark.studies.action_horizon import ActionHorizon
from benchmark.studies.control_mode.study import ControlMode
from benchmark.studies.control_theory.study import ControlTheory
from benchmark.studies.data_efficiency import DataEfficiency
from benchmark.studies.idle_actions import IdleActions
from benchmark.studies.inference_steps import InferenceSteps
from benchmark.studies.latency import Latency
from benchmark.studies.multimodality.study import Multimodality
from benchmark.studies.noise_schedule import NoiseSchedule
from benchmark.studies.observation_horizon import ObservationHorizon
from benchmark.studies.outperforms import Outperforms
from benchmark.studies.perturbation import Perturbation
from benchmark.studies.study import Study
from benchmark.studies.temporal_consistency import TemporalConsistency
from benchmark.studies.training_stability import TrainingStability
from benchmark.studies.visual_conditioning import VisualConditioning
from benchmark.studies.visual_encoder import VisualEncoder

STUDIES: tuple[Study, ...] = (
    Outperforms(),
    ControlMode(),
    Perturbation(),
    ActionHorizon(),
    Latency(),
    ObservationHorizon(),
    DataEfficiency(),
    InferenceSteps(),
    NoiseSchedule(),
    VisualConditioning(),
    VisualEncoder(),
    Multimodality(),
    TemporalConsistency(),
    IdleActions(),
    TrainingStability(),
    ControlTheory(),
)
"""In the order of the paper's claims as README lists them."""
