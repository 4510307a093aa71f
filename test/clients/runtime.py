"""How far an agent's answers are from those of ONNX Runtime called here with the same frames: a line of JSON a frame, with the
largest difference. Usage: runtime.py HOST:PORT HOST:PORT NETWORK"""

import json
import sys

import numpy as np
import onnxruntime
import tritonclient.grpc as grpc
import tritonclient.http as http

session = onnxruntime.InferenceSession(sys.argv[3], providers=["CPUExecutionProvider"])
entry, output = session.get_inputs()[0].name, session.get_outputs()[0].name
random = np.random.default_rng(1)
for protocol, address in ((http, sys.argv[1]), (grpc, sys.argv[2])):
    client = protocol.InferenceServerClient(address)
    for i in range(4):
        frame = random.standard_normal((1, 3, 48, 192), np.float32)
        tensor = protocol.InferInput(entry, list(frame.shape), "FP32")
        tensor.set_data_from_numpy(frame)
        answer = client.infer("default.direction", [tensor]).as_numpy(output)
        (expected,) = session.run([output], {entry: frame})
        print(json.dumps([f"{protocol.__name__} {i}", float(np.abs(answer - expected).max())]), flush=True)
