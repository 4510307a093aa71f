"""BentoML with its adaptive batching: networks as batchable services, frames as raw bytes through a mounted ASGI app."""

import json
import os

import bentoml
import numpy as np
import onnxruntime as ort
from fastapi import FastAPI, Request, Response

SETTINGS = json.loads(os.environ["PEER_SETTINGS"])
app = FastAPI()


def network(model):
    @bentoml.service(name=model["name"], workers=1, traffic={"timeout": 10})
    class Network:
        def __init__(self):
            options = ort.SessionOptions()
            options.intra_op_num_threads = SETTINGS["threads"]
            options.inter_op_num_threads = 1
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
            self.session = ort.InferenceSession(model["path"], options, providers=["CPUExecutionProvider"])

        @bentoml.api(batchable=True, max_batch_size=model["maxBatch"], max_latency_ms=model["deadlineMs"])
        def infer(self, frames: np.ndarray) -> np.ndarray:
            return self.session.run(None, {model["input"]: frames})[0]

    return Network


NETWORKS = {model["name"]: network(model) for model in SETTINGS["models"]}


@bentoml.service(workers=1, traffic={"timeout": 10})
@bentoml.asgi_app(app, path="/")
class Door:
    first = bentoml.depends(NETWORKS[SETTINGS["models"][0]["name"]])
    second = bentoml.depends(NETWORKS[SETTINGS["models"][1]["name"]])
    third = bentoml.depends(NETWORKS[SETTINGS["models"][2]["name"]])

    @app.post("/frames/{index}")
    async def frame(self, index: int, request: Request) -> Response:
        model = SETTINGS["models"][index]
        frame = np.frombuffer(await request.body(), np.float32).reshape([1, *model["dims"]])
        service = [self.first, self.second, self.third][index]
        answer = await service.to_async.infer(frame)
        return Response(content=np.ascontiguousarray(answer[0]).tobytes(), media_type="application/octet-stream")
