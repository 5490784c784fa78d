"""What can go wrong, by name."""

from __future__ import annotations


class MissingTool(RuntimeError):
    """NVRTC, nvdisasm or a C++ compiler is not there; the text says how to get it."""


class CompileError(RuntimeError):
    """NVRTC refused a source, or the C++ compiler the runtime; the text is what it said."""


class UnsupportedPTX(NotImplementedError):
    """An instruction that the simulator does not know. It never guesses what one may mean."""


class LaunchError(ValueError):
    """A launch that CUDA would refuse, or whose arguments the kernel would misread."""


class KernelFault(RuntimeError):
    """A kernel did something wrong while it ran; `findings` has all of it."""

    def __init__(self, text: str, findings: list | None = None) -> None:
        super().__init__(text)
        self.findings = findings or []
