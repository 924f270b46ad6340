"""The embedders of this process: the local model, and the libraries that a user has installed."""

import math
import shutil
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import askonce_models
import pytest

from askonce.core.errors import ConfigError, EmbedderError
from askonce.core.protocols import Embedder
from askonce.semantic.embedders.local import CHARACTERS, TOKENS, LocalEmbedder
from askonce.semantic.embedders.open_embedder import is_local, open_embedder
from askonce.stores.context import StoreContext
from tests.fixtures.stores import run_blocking

QUESTION = "how do i reset my password on the company laptop today please"
PASSWORD = {
    "Czech": "Jak obnovím své heslo?",
    "Dutch": "Hoe stel ik mijn wachtwoord opnieuw in?",
    "English": "How do I reset my password?",
    "Finnish": "Miten vaihdan salasanani?",
    "French": "Comment réinitialiser mon mot de passe ?",
    "German": "Wie setze ich mein Passwort zurück?",
    "Greek": "Πώς αλλάζω τον κωδικό μου;",
    "Hebrew": "איך מאפסים סיסמה?",
    "Hindi": "मैं अपना पासवर्ड कैसे बदलूं?",
    "Italian": "Come reimposto la mia password?",
    "Japanese": "パスワードをリセットするには？",
    "Polish": "Jak zresetować hasło?",
    "Portuguese": "Como redefino minha senha?",
    "Russian": "Как сбросить пароль?",
    "Spanish": "¿Cómo restablezco mi contraseña?",
    "Swedish": "Hur återställer jag mitt lösenord?",
    "Turkish": "Şifremi nasıl sıfırlarım?",
    "Ukrainian": "Як скинути пароль?",
    "Vietnamese": "Làm thế nào để đặt lại mật khẩu?",
    # The model does not know a sign of each of these.
    "Arabic": "كيف أعيد تعيين كلمة المرور؟",
    "Chinese": "我如何重置密码？",
    "Korean": "비밀번호를 어떻게 재설정하나요?",
    "Thai": "ฉันจะรีเซ็ตรหัสผ่านได้อย่างไร",
}
UNREAD = ("Arabic", "Chinese", "Korean", "Thai")
CONTEXT = StoreContext(threading.Lock, lambda: 0.0)


@pytest.fixture(scope="module")
def local() -> LocalEmbedder:
    return LocalEmbedder(lock=threading.Lock())


def embed(embedder: Embedder, *texts: str) -> list[bytes | None]:
    return run_blocking(embedder.embed(texts))


def vector(embedder: Embedder, text: str) -> list[float]:
    (found,) = embed(embedder, text)
    assert found is not None, text
    return list(struct.unpack(f"<{embedder.dimensions}f", found))


def cosine(a: bytes | None, b: bytes | None) -> float:
    assert a is not None
    assert b is not None
    form = f"<{len(a) // 4}f"
    pairs = zip(struct.unpack(form, a), struct.unpack(form, b), strict=True)
    return float(sum(one * other for one, other in pairs))


def test_a_vector_has_unit_length(local: LocalEmbedder) -> None:
    found = vector(local, QUESTION)

    assert len(found) == local.dimensions == 384
    assert math.hypot(*found) == pytest.approx(1, abs=1e-5)


def test_the_name_is_that_of_the_files(local: LocalEmbedder) -> None:
    assert local.name == askonce_models.fingerprint()
    assert askonce_models.checksums()["embedder.onnx"][:16] in local.name


def test_a_text_has_the_same_vector_alone_and_beside_others(local: LocalEmbedder) -> None:
    texts = [" ".join(QUESTION.split()[:count]) for count in range(1, 13)] + ["word " * 200]

    together = embed(local, *texts)

    assert embed(local, *texts) == together
    for text, found in zip(texts, together, strict=True):
        assert cosine(found, *embed(local, text)) >= 0.999


def test_many_texts_stay_in_their_order(local: LocalEmbedder) -> None:
    texts = [f"{number} " + "apples " * (number * 7 % 90) for number in range(120)]
    texts[40] = ""

    together = embed(local, *texts)

    assert [row for row, found in enumerate(together) if found is None] == [40]
    for row in (0, 39, 41, 77, 119):
        assert cosine(together[row], *embed(local, texts[row])) >= 0.999


def test_paraphrases_lie_nearer_than_strangers(local: LocalEmbedder) -> None:
    pairs = [
        ("How do I reset my password?", "What is the way to change a forgotten password?"),
        ("What is the capital of France?", "Which city is France's capital?"),
        ("How can I lose weight quickly?", "What is the fastest way to lose weight?"),
        ("Why is my card payment declined?", "My card was rejected when I paid. Why?"),
    ]
    left = embed(local, *[pair[0] for pair in pairs])
    right = embed(local, *[pair[1] for pair in pairs])

    for row, one in enumerate(left):
        near = [cosine(one, other) for other in right]
        assert near.index(max(near)) == row
        assert near[row] > 0.6 > max(near[:row] + near[row + 1 :])


@pytest.mark.parametrize("language", PASSWORD)
def test_a_text_is_read_whole_or_not_at_all(local: LocalEmbedder, language: str) -> None:
    text = PASSWORD[language]

    (found,) = embed(local, text)

    assert (found is None) == bool(local.unread(text)) == (language in UNREAD)


@pytest.mark.parametrize(
    "text",
    ["", "   \n\t", "\u200b\u0000", "half a \ud800 character", "thanks 😊", "x" * 101],
    ids=["empty", "blank", "invisible", "half", "emoji", "long word"],
)
def test_what_cannot_be_read_has_no_vector(local: LocalEmbedder, text: str) -> None:
    assert embed(local, text, QUESTION, text)[0::2] == [None, None]


def test_the_pieces_that_are_not_known_are_named(local: LocalEmbedder) -> None:
    assert local.unread("one 😊 two ไทย three") == ["😊", "ไทย"]
    assert local.unread(QUESTION) == local.unread("\ud800") == []


def test_a_text_may_have_as_many_tokens_as_the_model_was_trained_for(local: LocalEmbedder) -> None:
    fits, over = "word " * TOKENS, "word " * (TOKENS + 1)

    assert embed(local, over)[0] is None
    assert embed(local, fits)[0] is not None


def test_the_names_of_special_tokens_are_ordinary_text(local: LocalEmbedder) -> None:
    assert local.unread("what is [UNK] for?") == []
    assert cosine(*embed(local, "talk [SEP] about [PAD] cats", "talk about cats")) < 0.99


def test_a_hundred_thousand_words_cost_next_to_nothing(local: LocalEmbedder) -> None:
    long = "word " * 100_000
    assert len(long) > CHARACTERS
    started = time.perf_counter()

    assert embed(local, *[long] * 100) == [None] * 100

    assert time.perf_counter() - started < 0.1


def test_threads_embed_at_once() -> None:
    shared = LocalEmbedder(lock=threading.Lock())
    texts = [f"{QUESTION} number {number}" for number in range(64)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda text: embed(shared, text)[0], texts))

    assert found == [embed(shared, text)[0] for text in texts]


def test_a_closed_embedder_says_so() -> None:
    embedder = LocalEmbedder(lock=threading.Lock())
    run_blocking(embedder.close())

    with pytest.raises(EmbedderError, match="closed"):
        embed(embedder, QUESTION)


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The model's files in a folder where they may be damaged."""
    folder = tmp_path / "models"
    shutil.copytree(askonce_models.EMBEDDER.parent, folder)
    monkeypatch.setattr(askonce_models, "_HERE", folder)
    return folder


def test_the_published_files_are_whole() -> None:
    askonce_models.verify()


@pytest.mark.parametrize("name", ["embedder.onnx", "tokenizer.json"])
def test_a_damaged_or_missing_model_is_one_clear_error(copied: Path, name: str) -> None:
    data = bytearray((copied / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copied / name).write_bytes(data)
    damaged = LocalEmbedder(lock=threading.Lock())
    with pytest.raises(EmbedderError, match=f"^{name} has SHA-256 .*; run: pip install") as caught:
        embed(damaged, QUESTION)
    assert "\n" not in str(caught.value)

    (copied / name).unlink()
    with pytest.raises(EmbedderError, match=f"^{name} cannot be read: No such file"):
        embed(damaged, QUESTION)


@pytest.mark.parametrize("sums", ["", "[]", "{}", '{"embedder.onnx": "0"}'])
def test_damaged_checksums_are_a_wrong_installation(copied: Path, sums: str) -> None:
    (copied / "checksums.json").write_text(sums)

    with pytest.raises(ConfigError, match=r"^checksums.json cannot be read; run: pip install"):
        LocalEmbedder(lock=threading.Lock())


@pytest.mark.parametrize("library", ["askonce_models", "numpy", "onnxruntime", "tokenizers"])
def test_without_the_extra_it_says_what_to_install(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)

    with pytest.raises(ConfigError, match=rf"needs {library}; run: pip install 'askonce\[semantic"):
        open_embedder("local", CONTEXT)


def test_opening_imports_nothing_heavy() -> None:
    code = (
        "import sys, threading; from askonce.semantic.embedders.open_embedder import open_embedder;"
        "from askonce.stores.context import StoreContext;"
        "open_embedder('local', StoreContext(threading.Lock, lambda: 0.0));"
        "print(*{'numpy', 'onnxruntime', 'tokenizers', 'huggingface_hub'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_forked_child_embeds(local: LocalEmbedder) -> None:
    """What a pre-forking server does; a thread of a library would not be there in the child."""
    code = (
        "import os, threading; from askonce.semantic.embedders.local import LocalEmbedder;"
        "from askonce.core.runtime.threads import run_sync;"
        "e = LocalEmbedder(lock=threading.Lock());"
        "before = run_sync(e.embed(['one', 'two two']));"
        "child = os.fork();"
        "child or os._exit(0 if run_sync(e.embed(['one', 'two two'])) == before else 7);"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("0\n", "")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("", "no embedder has this address"),
        ("loca", "no embedder has this address"),
        ("word2vec:x", "local, https://HOST"),
        ("fastembed:", "needs a model's name"),
        ("sentence-transformers:", "needs a model's name"),
        ("https://host/v1", "needs a model"),
        ("https://host/v1?model=", "needs a model"),
        ("https:///v1?model=m", "looks like"),
        ("https://host/v1?model=m&dimensions=many", "looks like"),
        ("https://host/v1?model=m&dimensions=0", "at least 1"),
        ("https://host/v1?model=m&encoding=hex", "float or base64"),
        ("https://host/v1?model=m&api_key=secret", "has no option 'api_key'"),
        ("https://me:secret@host/v1?model=m", "does not belong into its address"),
    ],
)
def test_an_address_that_names_no_embedder_is_explained(address: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        open_embedder(address, CONTEXT)
    assert "secret" not in str(raised.value)


def test_a_key_that_no_header_can_carry_is_refused_without_showing_it() -> None:
    with pytest.raises(ConfigError, match="no header has") as caught:
        open_embedder("https://host/v1?model=m", CONTEXT, key="sk-secret\n")
    assert "secret" not in str(caught.value)


def test_addresses_say_where_an_embedder_lives() -> None:
    assert is_local("local")
    assert is_local("fastembed:BAAI/bge-small-en-v1.5")
    assert not is_local("http://localhost:8080/v1?model=m")


FASTEMBED = """
from types import SimpleNamespace
class TextEmbedding:
    def __init__(self, model_name):
        if model_name == "gone":
            raise OSError("no such model")
        encode = lambda text: SimpleNamespace(overflowing=text.split()[3:])
        self.model = SimpleNamespace(tokenizer=SimpleNamespace(encode=encode))
    def embed(self, texts):
        for text in texts:
            yield [3.0, 4.0] if text != "zero" else [0.0, 0.0]
"""
SENTENCE_TRANSFORMERS = """
class SentenceTransformer:
    max_seq_length = 3
    def __init__(self, name):
        if name == "gone":
            raise OSError("no such model")
    def tokenizer(self, text, truncation, verbose):
        return {"input_ids": text.split()}
    def encode(self, texts, show_progress_bar):
        return [[3.0, 4.0] if text != "zero" else [0.0, 0.0] for text in texts]
"""


@pytest.fixture(params=["fastembed", "sentence-transformers"])
def package(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A library of the same shape as the real one, installed."""
    (tmp_path / "fastembed.py").write_text(FASTEMBED)
    (tmp_path / "sentence_transformers.py").write_text(SENTENCE_TRANSFORMERS)
    for name in ("fastembed", "sentence_transformers"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    return str(request.param)


def test_an_installed_library_embeds_what_fits(package: str) -> None:
    embedder = open_embedder(f"{package}:some/model", CONTEXT)

    found = embed(embedder, "a b c", "", "a b c d", "\ud800", "x" * 30_000, "b")

    assert [one is not None for one in found] == [True, False, False, False, False, True]
    assert struct.unpack("<2f", found[0] or b"") == pytest.approx((0.6, 0.8))
    assert (embedder.name, embedder.dimensions) == (f"{package}:some/model", 2)
    run_blocking(embedder.close())


def test_what_an_installed_library_cannot_do_is_our_error(package: str) -> None:
    with pytest.raises(EmbedderError, match="gone failed: OSError"):
        embed(open_embedder(f"{package}:gone", CONTEXT), "a")
    with pytest.raises(EmbedderError, match="without a direction"):
        embed(open_embedder(f"{package}:m", CONTEXT), "zero")


def test_a_library_that_is_not_installed_is_named(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package.replace("-", "_"), None)

    with pytest.raises(ConfigError, match=f"run: pip install {package}"):
        open_embedder(f"{package}:m", CONTEXT)
