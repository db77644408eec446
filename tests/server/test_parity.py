"""What the paper's code gives, through a real Triton."""

import pytest
from goldens import check_ours, check_recorded

pytestmark = pytest.mark.server


def test_our_goldens(data, speech, grpc):
    check_ours(data, "small", speech, grpc, at_least=5)


def test_goldens_of_recorded_speech(reference, grpc):
    check_recorded(reference, "small", grpc)
