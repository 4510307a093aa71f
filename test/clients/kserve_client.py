"""What KServe's own clients get of an agent, over HTTP and gRPC: a line of JSON a case. Usage: kserve_client.py HOST:PORT HOST:PORT"""

import asyncio
import json
import logging
import sys

import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig

logging.disable()
MODEL = "default.floats"
frame = np.linspace(-3, 3, 192, dtype=np.float32).reshape(1, 3, 8, 8)


def request(binary, name="in"):
    tensor = InferInput(name, [1, 3, 8, 8], "FP32")
    tensor.set_data_from_numpy(frame, binary_data=binary)
    return InferRequest(model_name=MODEL, request_id="cam-1", infer_inputs=[tensor])


def echoed(response):
    return [response.id, bool((response.outputs[0].as_numpy().reshape(frame.shape) == frame).all())]


async def case(name, act):
    try:
        got = await act()
    except Exception as error:  # what the client makes of a refusal
        got = f"{type(error).__name__}: {error}"
    print(json.dumps([name, got]), flush=True)


async def main(url, grpc):
    rest = InferenceRESTClient(RESTConfig(protocol="v2"))
    await case("live", lambda: rest.is_server_live(url))
    await case("ready", lambda: rest.is_server_ready(url))
    await case("model ready", lambda: rest.is_model_ready(url, MODEL))

    async def by_rest(binary, name="in", model=MODEL):
        return echoed(await rest.infer(url, request(binary, name), model_name=model))

    await case("JSON", lambda: by_rest(False))
    await case("binary", lambda: by_rest(True))
    await case("wrong name", lambda: by_rest(False, "x"))
    await case("unknown tenant", lambda: by_rest(False, model="default.nobody"))
    await rest.close()

    client = InferenceGRPCClient(grpc)
    await case("live, gRPC", client.is_server_live)
    await case("ready, gRPC", client.is_server_ready)
    await case("model ready, gRPC", lambda: client.is_model_ready(MODEL))

    async def by_grpc(binary, name="in"):
        return echoed(await client.infer(request(binary, name)))

    await case("contents, gRPC", lambda: by_grpc(False))
    await case("raw contents, gRPC", lambda: by_grpc(True))
    await case("wrong name, gRPC", lambda: by_grpc(False, "x"))
    await client.close()


asyncio.run(main(f"http://{sys.argv[1]}", sys.argv[2]))
