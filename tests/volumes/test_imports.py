import subprocess
import sys


def test_volumes_load_neither_keras_nor_tensorflow():
    code = (
        "import sys, recalib_keras.volumes; print(sorted({'keras', 'tensorflow', 'torch', 'jax'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
