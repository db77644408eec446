"""Triton's side of emotalk_speech.serving: requests to texts, sentences to responses."""

import triton_python_backend_utils as pb_utils

from emotalk_contract.speech import SPEECH
from emotalk_ensemble.exchange import Refusal, guarded, inputs_of, response
from emotalk_speech.serving import Speakers


class TritonPythonModel:
    def initialize(self, _args):
        self.speakers = Speakers.from_environment()

    def execute(self, requests):
        for request in requests:
            inputs = guarded(lambda r=request: inputs_of(pb_utils, r, *REQUIRED_AND_OPTIONAL))
            sender = request.get_response_sender()
            if not self.speakers.submit(lambda s=sender, i=inputs: self._answer(s, i)):
                self._answer(sender, FULL)

    def finalize(self):
        self.speakers.close()

    def _answer(self, sender, inputs):
        sentences = self.speakers.sentences(inputs) if isinstance(inputs, dict) else iter([inputs])
        while (answer := guarded(lambda: next(sentences, None))) is not None and not sender.is_cancelled():
            sender.send(response(pb_utils, answer))
        sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)


FULL = Refusal("Exceeds maximum queue size: as many texts as there may be are said or wait", "UNAVAILABLE")
REQUIRED_AND_OPTIONAL = [[t.name for t in SPEECH.inputs if t.optional is wanted] for wanted in (False, True)]
