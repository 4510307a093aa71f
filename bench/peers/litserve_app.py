"""LitServe with its batching: one API a network, frames as multipart uploads, answers as raw bytes."""

import json
import sys

import litserve
import numpy as np
import onnxruntime as ort
from fastapi import Request, Response


class Network(litserve.LitAPI):
    def __init__(self, model, threads, delay):
        super().__init__(max_batch_size=model["maxBatch"], batch_timeout=delay, api_path=f"/{model['name']}")
        self.model = model
        self.threads = threads

    def setup(self, device):
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = ort.InferenceSession(self.model["path"], options, providers=["CPUExecutionProvider"])

    def decode_request(self, request: Request):
        frame = request["frame"].file.read()
        return np.frombuffer(frame, np.float32).reshape(self.model["dims"])

    def batch(self, inputs):
        return np.stack(inputs)

    def predict(self, frames):
        if frames.ndim == len(self.model["dims"]):
            frames = frames[None]
        return self.session.run(None, {self.model["input"]: frames})[0]

    def unbatch(self, answers):
        return list(answers)

    def encode_response(self, answer) -> Response:
        return Response(content=np.ascontiguousarray(answer).tobytes(), media_type="application/octet-stream")


if __name__ == "__main__":
    port, settings = int(sys.argv[1]), json.loads(sys.argv[2])
    networks = [Network(model, settings["threads"], settings["delayMs"] / 1000) for model in settings["models"]]
    litserve.LitServer(networks, accelerator="cpu", fast_queue=True).run(
        host="127.0.0.1", port=port, generate_client_file=False, log_level="error"
    )
