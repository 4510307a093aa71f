"""Runs one ONNX network in Triton's Python backend: a batch that Triton has put together is one run."""

import json
import os
import sys

# Triton's stub knows no virtual environments.
sys.path.insert(0, os.environ["PEER_SITE"])

import numpy as np
import onnxruntime as ort
import triton_python_backend_utils as pb


class TritonPythonModel:
    def initialize(self, args):
        config = json.loads(args["model_config"])
        parameters = {name: value["string_value"] for name, value in config["parameters"].items()}
        options = ort.SessionOptions()
        options.intra_op_num_threads = int(parameters["threads"])
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = ort.InferenceSession(parameters["path"], options, providers=["CPUExecutionProvider"])
        self.input = config["input"][0]["name"]
        self.output = config["output"][0]["name"]

    def execute(self, requests):
        frames = [pb.get_input_tensor_by_name(request, self.input).as_numpy() for request in requests]
        (answers,) = self.session.run([self.output], {self.input: np.concatenate(frames)})
        ends = np.cumsum([len(frame) for frame in frames])
        return [
            pb.InferenceResponse([pb.Tensor(self.output, np.ascontiguousarray(part))])
            for part in np.split(answers, ends[:-1])
        ]
