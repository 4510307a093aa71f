"""What NVIDIA's own gRPC client gets of an agent: a line of JSON a case. Usage: triton_grpc.py HOST:PORT"""

import json
import queue
import sys

import numpy as np
import tritonclient.grpc as grpc
from google.protobuf.json_format import MessageToDict

ECHO, FLOATS = "default.echo", "default.floats"
client = grpc.InferenceServerClient(sys.argv[1])
frame = np.arange(192, dtype=np.uint8).reshape(1, 3, 8, 8)
floats = np.linspace(-3, 3, 192, dtype=np.float32).reshape(1, 3, 8, 8)


def case(name, act):
    try:
        got = act()
    except Exception as error:  # what the client makes of a refusal
        got = f"{type(error).__name__}: {error}"
    print(json.dumps([name, got]), flush=True)


def told(message):
    return MessageToDict(message, preserving_proto_field_name=True)


def given(array, name="in"):
    datatype = {"uint8": "UINT8", "float32": "FP32"}[array.dtype.name]
    tensor = grpc.InferInput(name, list(array.shape), datatype)
    tensor.set_data_from_numpy(array)
    return [tensor]


def echoed(result, array=frame):
    return bool((result.as_numpy("out") == array).all())


case("live", client.is_server_live)
case("ready", client.is_server_ready)
case("model ready", lambda: [client.is_model_ready(ECHO), client.is_model_ready(ECHO, "1"), client.is_model_ready("no.one")])
case("server metadata", lambda: told(client.get_server_metadata())["name"])
case("metadata", lambda: told(client.get_model_metadata(ECHO)))
case("configuration", lambda: told(client.get_model_config(FLOATS))["config"]["output"])
case("repository", lambda: [each["name"] for each in told(client.get_model_repository_index())["models"]])
case("frame", lambda: echoed(client.infer(ECHO, given(frame))))
case("floats", lambda: echoed(client.infer(FLOATS, given(floats)), floats))
case("id", lambda: client.infer(ECHO, given(frame), request_id="cam-1/77").get_response().id)
case("times", lambda: sorted(client.infer(ECHO, given(frame)).get_response().parameters))
case("timeout", lambda: echoed(client.infer(ECHO, given(frame), timeout=1_500_000, client_timeout=2)))
case("timeout too short", lambda: client.infer(ECHO, given(frame), timeout=1))
case("priority", lambda: client.infer(ECHO, given(frame), priority=1))
case("classes", lambda: client.infer(FLOATS, given(floats), outputs=[grpc.InferRequestedOutput("out", class_count=2)]).as_numpy("out").astype(str).tolist())
case("wrong type", lambda: client.infer(ECHO, given(floats)))
case("wrong name", lambda: client.infer(ECHO, given(frame, name="image")))
case("unknown tenant", lambda: client.infer("default.nobody", given(frame)))
case("version 2", lambda: client.infer(ECHO, given(frame), model_version="2"))
case("shared memory", lambda: client.get_system_shared_memory_status())


def streamed():
    """Frames with a wrong one among them: answered in order, each with its own values."""
    answers = queue.Queue()
    client.start_stream(callback=lambda result, error: answers.put((result, error)))
    for i in range(40):
        array = np.full((1, 3, 8, 8), i, dtype=np.uint8)
        client.async_stream_infer(ECHO, given(array, name="image" if i == 7 else "in"), request_id=str(i))
    got = []
    for i in range(40):
        result, error = answers.get(timeout=20)
        got.append("refused" if error else [result.get_response().id == str(i), int(result.as_numpy("out").max()) == i])
    client.stop_stream()
    return got == ["refused" if i == 7 else [True, True] for i in range(40)]


case("stream", streamed)


def later():
    answers = queue.Queue()
    client.async_infer(ECHO, given(frame), callback=lambda result, error: answers.put((result, error)))
    result, error = answers.get(timeout=10)
    return error is None and echoed(result)


case("later", later)


def counted():
    (stats,) = told(client.get_inference_statistics(ECHO))["model_stats"]
    return int(stats["inference_count"]) == int(stats["inference_stats"]["success"]["count"]) > 40


case("statistics", counted)
