"""What NVIDIA's own HTTP client gets of an agent: a line of JSON a case. Usage: triton_http.py HOST:PORT"""

import json
import sys

import numpy as np
import tritonclient.http as http

ECHO, FLOATS = "default.echo", "default.floats"
client = http.InferenceServerClient(sys.argv[1])
frame = np.arange(192, dtype=np.uint8).reshape(1, 3, 8, 8)
floats = np.linspace(-3, 3, 192, dtype=np.float32).reshape(1, 3, 8, 8)


def case(name, act):
    try:
        got = act()
    except Exception as error:  # what the client makes of a refusal
        got = f"{type(error).__name__}: {error}"
    print(json.dumps([name, got]), flush=True)


def given(array, binary=True, name="in"):
    datatype = {"uint8": "UINT8", "float32": "FP32"}[array.dtype.name]
    tensor = http.InferInput(name, list(array.shape), datatype)
    tensor.set_data_from_numpy(array, binary_data=binary)
    return [tensor]


def echoed(result, array=frame):
    return bool((result.as_numpy("out") == array).all())


def wanted(**how):
    return [http.InferRequestedOutput("out", **how)]


case("live", client.is_server_live)
case("ready", client.is_server_ready)
case("model ready", lambda: client.is_model_ready(ECHO))
case("model ready, version 1", lambda: client.is_model_ready(ECHO, "1"))
case("model ready, version 2", lambda: client.is_model_ready(ECHO, "2"))
case("server metadata", lambda: client.get_server_metadata()["extensions"])
case("metadata", lambda: client.get_model_metadata(ECHO))
case("metadata, version 1", lambda: client.get_model_metadata(FLOATS, "1")["outputs"])
case("configuration", lambda: client.get_model_config(ECHO)["input"])
case("repository", client.get_model_repository_index)
case("binary", lambda: echoed(client.infer(ECHO, given(frame))))
case("floats", lambda: echoed(client.infer(FLOATS, given(floats)), floats))
case("JSON in", lambda: echoed(client.infer(ECHO, given(frame, binary=False))))
case("JSON out", lambda: echoed(client.infer(ECHO, given(frame), outputs=wanted(binary_data=False))))
case("id", lambda: client.infer(ECHO, given(frame), request_id="cam-1/77").get_response()["id"])
case("version 1", lambda: echoed(client.infer(ECHO, given(frame), model_version="1")))
case("version 2", lambda: client.infer(ECHO, given(frame), model_version="2"))
case("gzip", lambda: echoed(client.infer(ECHO, given(frame), request_compression_algorithm="gzip")))
case("deflate", lambda: echoed(client.infer(ECHO, given(frame), request_compression_algorithm="deflate")))
case("gzip back", lambda: echoed(client.infer(ECHO, given(frame), response_compression_algorithm="gzip")))
case("timeout", lambda: echoed(client.infer(ECHO, given(frame), timeout=1_500_000)))
case("timeout too short", lambda: client.infer(ECHO, given(frame), timeout=1))
case("priority", lambda: client.infer(ECHO, given(frame), priority=1))
case("own parameters", lambda: echoed(client.infer(ECHO, given(frame), parameters={"camera": "north", "n": 1})))
case("sequence", lambda: echoed(client.infer(ECHO, given(frame), sequence_id=5, sequence_start=True)))
case("classes", lambda: client.infer(FLOATS, given(floats), outputs=wanted(class_count=2)).as_numpy("out").astype(str).tolist())
case("wrong type", lambda: client.infer(ECHO, given(floats)))
case("wrong name", lambda: client.infer(ECHO, given(frame, name="image")))
case("two frames", lambda: client.infer(ECHO, given(np.concatenate([frame, frame]))))
case("unknown output", lambda: client.infer(ECHO, given(frame), outputs=[http.InferRequestedOutput("y")]))
case("unknown tenant", lambda: client.infer("default.nobody", given(frame)))
case("shared memory", lambda: client.register_system_shared_memory("r", "/r", 192))
case("load", lambda: client.load_model(ECHO))
case("later", lambda: echoed(client.async_infer(ECHO, given(frame)).get_result()))


def counted():
    (stats,) = client.get_inference_statistics(ECHO)["model_stats"]
    inference = stats["inference_stats"]
    parts = ["queue", "compute_input", "compute_infer", "compute_output"]
    return [
        stats["inference_count"] == inference["success"]["count"] > 10,
        abs(sum(inference[part]["ns"] for part in parts) - inference["success"]["ns"]) < 5,
        0 < stats["execution_count"] <= stats["inference_count"],
    ]


case("statistics", counted)
case("statistics of all", lambda: [each["name"] for each in client.get_inference_statistics()["model_stats"]])
