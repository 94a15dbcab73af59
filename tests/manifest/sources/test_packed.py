"""MedMNIST, MNIST and CIFAR-10: images packed in arrays."""

import gzip
import io
import pickle

import numpy as np
import pytest
from PIL import Image

from la_medical.errors import LabelError, ManifestError
from la_medical.manifest.sources import read_source
from la_medical.manifest.sources.medmnist_sets import SETS
from tests.manifest.sources.layouts import DAMAGED_GZIPS, column, states

RNG = np.random.default_rng(0)


def pixels(count, *shape):
    return RNG.integers(0, 256, (count, *shape), dtype=np.uint8)


def medmnist(path, labels, *shape):
    arrays = {}
    for split, count in (("train", 3), ("val", 1), ("test", 2)):
        arrays[f"{split}_images"] = pixels(count, *shape)
        arrays[f"{split}_labels"] = np.asarray(labels[:count])
    np.savez(path, **arrays)
    return arrays


def test_a_medmnist_set_in_a_larger_size(tmp_path):
    arrays = medmnist(tmp_path / "retinamnist_64.npz", [[4], [0], [2]], 64, 64, 3)
    manifest = read_source("medmnist", tmp_path / "retinamnist_64.npz", images_out=tmp_path / "out")
    assert manifest.classes == ("grade_0", "grade_1", "grade_2", "grade_3", "grade_4")
    assert states(manifest, "retinamnist_train_000000", *manifest.classes) == (0, 0, 0, 0, 1)
    assert list(column(manifest, "split").values()).count("val") == 1
    written = np.asarray(Image.open(tmp_path / "out/train/000002.png"))
    np.testing.assert_array_equal(written, arrays["train_images"][2])
    assert manifest.file_paths()[0].is_file()
    assert manifest.cards["retinamnist"].licence == "CC BY 4.0"


def test_chestmnist_is_multi_label_and_inside_nih(tmp_path):
    row = [0] * 14
    row[6] = row[2] = 1
    medmnist(tmp_path / "chestmnist.npz", [row, [0] * 14, row], 28, 28)
    manifest = read_source("medmnist", tmp_path, images_out=tmp_path / "out")
    assert states(manifest, "chestmnist_train_000000", "pneumonia", "effusion", "mass") == (1, 1, 0)
    assert "chestxray14" in manifest.cards["chestmnist"].derived_from
    assert manifest.space.name == "chest_xray"


def test_pneumoniamnist_speaks_chest_xray(tmp_path):
    medmnist(tmp_path / "mine.npz", [[1], [0], [1]], 28, 28)
    with pytest.raises(ManifestError, match="'mine' is none of MedMNIST's"):
        read_source("medmnist", tmp_path / "mine.npz", images_out=tmp_path / "o")
    manifest = read_source("medmnist", tmp_path / "mine.npz", set_name="pneumoniamnist", images_out=tmp_path / "o")
    assert states(manifest, "pneumoniamnist_train_000000", "pneumonia", "no_finding") == (1, 0)


def test_another_set_under_the_wrong_name_is_refused(tmp_path):
    medmnist(tmp_path / "breastmnist.npz", [[2], [0], [1]], 28, 28)
    with pytest.raises(LabelError, match=r"expected \(N, 1\) of 0 to 1"):
        read_source("medmnist", tmp_path, images_out=tmp_path / "o")


def test_every_set_has_as_many_classes_as_published():
    published = {
        "pathmnist": 9, "chestmnist": 14, "dermamnist": 7, "octmnist": 4, "pneumoniamnist": 2, "retinamnist": 5,
        "breastmnist": 2, "bloodmnist": 8, "tissuemnist": 8, "organamnist": 11, "organcmnist": 11, "organsmnist": 11,
    }  # fmt: skip
    assert {name: len(about.classes) for name, about in SETS.items()} == published


def test_labels_alone_write_no_image(tmp_path):
    medmnist(tmp_path / "breastmnist.npz", [[1], [0], [1]], 28, 28)
    manifest = read_source("medmnist", tmp_path, images_out=tmp_path / "o", check_files=False)
    assert len(manifest) == 6
    assert not (tmp_path / "o").exists()


def idx(array):
    head = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return head + array.tobytes()


def test_mnist_in_both_forms_is_the_same(tmp_path):
    train, test, y_train, y_test = pixels(5, 28, 28), pixels(2, 28, 28), np.arange(5, dtype=np.uint8), np.uint8([9, 0])
    files, packed = tmp_path / "idx", tmp_path / "npz"
    files.mkdir()
    packed.mkdir()
    (files / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(train)))
    (files / "train-labels-idx1-ubyte").write_bytes(idx(y_train))
    (files / "t10k-images.idx3-ubyte").write_bytes(idx(test))
    (files / "t10k-labels.idx1-ubyte").write_bytes(idx(y_test))
    np.savez(packed / "mnist.npz", x_train=train, y_train=y_train, x_test=test, y_test=y_test)
    one = read_source("mnist", files, images_out=tmp_path / "a")
    two = read_source("mnist", packed, images_out=tmp_path / "b")
    assert one.table.equals(two.table)
    assert states(one, "mnist_test_000000", "digit_9", "digit_0") == (1, 0)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a/train/000003.png")), train[3])
    (files / "train-labels-idx1-ubyte").write_bytes(idx(y_train)[:-1])
    with pytest.raises(ManifestError, match="download it again"):
        read_source("mnist", files, images_out=tmp_path / "c")


@pytest.fixture
def mnist(tmp_path):
    """Two images and their labels in each of the four files."""
    for start in ("train", "t10k"):
        (tmp_path / f"{start}-images-idx3-ubyte").write_bytes(idx(pixels(2, 28, 28)))
        (tmp_path / f"{start}-labels-idx1-ubyte").write_bytes(idx(np.uint8([1, 9])))
    return tmp_path


@pytest.mark.parametrize(
    ("content", "starts"),
    [
        (b"", "nothing"),
        (b"\x89PNG", "89 50 4e 47"),
        (b"\0\0\x08\x03\0\0", "00 00 08 03"),
        (b"\0\0\x08\x01", "00 00 08 01"),
    ],
)
def test_files_that_are_no_idx_of_images_are_refused(mnist, content, starts):
    (mnist / "t10k-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(
        ManifestError, match=rf"starts with {starts}; expected an IDX file .* \(00 00 08 03 and 3 sizes\)"
    ):
        read_source("mnist", mnist, images_out=mnist / "o")


@pytest.mark.parametrize("content", DAMAGED_GZIPS.values(), ids=list(DAMAGED_GZIPS))
def test_packed_idx_files_that_are_damaged_are_refused(mnist, content):
    (mnist / "train-images-idx3-ubyte").unlink()
    (mnist / "train-images-idx3-ubyte.gz").write_bytes(content)
    with pytest.raises(ManifestError, match=r"train-images-idx3-ubyte\.gz: cannot be unpacked .* download it again"):
        read_source("mnist", mnist, images_out=mnist / "o")


def test_mnist_labels_above_nine_and_other_keys_are_refused(mnist):
    (mnist / "t10k-labels-idx1-ubyte").write_bytes(idx(np.uint8([1, 10])))
    with pytest.raises(ManifestError, match="test labels: 10; expected 0 to 9"):
        read_source("mnist", mnist, images_out=mnist / "o")
    np.savez(mnist / "mnist.npz", train=pixels(2, 28, 28))
    with pytest.raises(ManifestError, match=r"mnist\.npz: holds train; expected x_train, y_train, x_test, y_test"):
        read_source("mnist", mnist, images_out=mnist / "o")


def test_cifar10_in_its_three_forms_is_the_same(tmp_path):
    images = pixels(12, 32, 32, 3)
    labels = RNG.integers(0, 10, 12).astype(np.uint8)
    planes = images.transpose(0, 3, 1, 2).reshape(12, -1)
    python, binary = tmp_path / "py" / "cifar-10-batches-py", tmp_path / "bin" / "cifar-10-batches-bin"
    python.mkdir(parents=True)
    binary.mkdir(parents=True)
    for k, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
        part = slice(2 * k, 2 * k + 2)
        batch = {b"data": planes[part], b"labels": labels[part].tolist()}
        (python / name).write_bytes(pickle.dumps(batch, protocol=2))
        (binary / f"{name}.bin").write_bytes(np.hstack([labels[part, None], planes[part]]).tobytes())
    npz = tmp_path / "cifar.npz"
    arrays = {"train_images": images[:10], "train_labels": labels[:10, None]}
    np.savez(npz, **arrays, test_images=images[10:], test_labels=labels[10:, None])
    read = [
        read_source("cifar10", root, images_out=tmp_path / f"o{n}")
        for n, root in enumerate((tmp_path / "py", tmp_path / "bin", npz))
    ]
    assert read[0].table.equals(read[1].table)
    assert read[0].table.equals(read[2].table)
    for n in range(3):
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / f"o{n}/test/000001.png")), images[11])
    (binary / "data_batch_3.bin").unlink()
    with pytest.raises(ManifestError, match=r"data_batch_3\.bin: missing"):
        read_source("cifar10", tmp_path / "bin", images_out=tmp_path / "x")


def test_cifar10_files_that_are_absent_or_cut_are_refused(tmp_path):
    with pytest.raises(ManifestError, match=r"expected test_batch or test_batch\.bin there, or one \.npz"):
        read_source("cifar10", tmp_path, images_out=tmp_path / "o")
    for name in (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"):
        (tmp_path / f"{name}.bin").write_bytes(bytes(3072))
    with pytest.raises(ManifestError, match=r"data_batch_1\.bin: 3072 bytes; expected a multiple of 3073; download"):
        read_source("cifar10", tmp_path, images_out=tmp_path / "o")


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({b"data": pixels(2, 3072)}, r"no batch of CIFAR-10 \(b'labels'\)"),
        ({b"data": [[300] * 3072], b"labels": [0]}, r"no batch of CIFAR-10 \(.*300 out of bounds"),
        ({b"data": pixels(2, 100), b"labels": [0, 1]}, r"images \(2, 100\) and labels \(2,\); expected \(N, 3072\)"),
        ({b"data": pixels(2, 3072), b"labels": [0]}, r"images \(2, 3072\) and labels \(1,\); expected .* and \(N,\)"),
    ],
)
def test_pickles_that_are_no_batch_are_refused(tmp_path, batch, message):
    for name in (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"):
        (tmp_path / name).write_bytes(pickle.dumps(batch, protocol=2))
    with pytest.raises(ManifestError, match=f"data_batch_1: {message}.*download it again"):
        read_source("cifar10", tmp_path, images_out=tmp_path / "o")


def test_a_pickle_that_names_a_function_is_not_run(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (print, ("run",))

    (tmp_path / "test_batch").write_bytes(pickle.dumps(Hostile()))
    for n in range(1, 6):
        (tmp_path / f"data_batch_{n}").write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(ManifestError, match="is not allowed"):
        read_source("cifar10", tmp_path, images_out=tmp_path / "o")


def one_array():
    """A `.npy` that was given the name of an `.npz`."""
    stream = io.BytesIO()
    np.save(stream, pixels(2, 28, 28))
    return stream.getvalue()


def overwritten():
    """An `.npz` whose compressed bytes were overwritten."""
    stream = io.BytesIO()
    np.savez_compressed(stream, train_images=pixels(9, 28, 28))
    content = stream.getvalue()
    return content[:200] + b"\xff" * 200 + content[400:]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", one_array(), overwritten()])
def test_a_damaged_npz_is_refused(tmp_path, content):
    (tmp_path / "breastmnist.npz").write_bytes(content)
    with pytest.raises(ManifestError, match=r"cannot be read as \.npz"):
        read_source("medmnist", tmp_path, images_out=tmp_path / "o")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x_train": pixels(2, 28, 28)}, "no array 'train_images'; expected .*; it holds x_train"),
        ({"val_images": pixels(2, 28, 28)}, "no array 'val_labels'; expected .*; it holds val_images"),
        ({}, "no array 'train_images'; expected .*; it holds nothing"),
    ],
)
@pytest.mark.parametrize("source", ["medmnist", "cifar10"])
def test_an_npz_without_images_or_labels_is_refused(tmp_path, source, arrays, message):
    np.savez(tmp_path / "breastmnist.npz", **arrays)
    with pytest.raises(ManifestError, match=message):
        read_source(source, tmp_path, images_out=tmp_path / "o")


@pytest.mark.parametrize(
    ("labels", "shown"), [([2, 0], "2"), ([-1, 0], "-1"), ([0.5, 1], "0.5"), ([np.nan, 1], "nan"), (["a", "b"], "'a'")]
)
def test_labels_that_are_no_class_are_refused(tmp_path, labels, shown):
    np.savez(tmp_path / "breastmnist.npz", train_images=pixels(2, 28, 28), train_labels=np.array(labels)[:, None])
    with pytest.raises(LabelError, match=rf"train_labels: {shown}; expected \(N, 1\) of 0 to 1"):
        read_source("medmnist", tmp_path, images_out=tmp_path / "o")


def test_labels_of_another_shape_are_refused(tmp_path):
    medmnist(tmp_path / "breastmnist.npz", [[0, 1]] * 3, 28, 28)
    with pytest.raises(LabelError, match=r"train_labels: \(3, 2\); expected \(N, 1\) of 0 to 1; is this another set"):
        read_source("medmnist", tmp_path, images_out=tmp_path / "o")
    medmnist(tmp_path / "chestmnist.npz", [[0, 1]] * 3, 28, 28)
    with pytest.raises(LabelError, match=r"\(3, 2\); expected \(N, 14\) of 0 and 1; is this another set"):
        read_source("medmnist", tmp_path / "chestmnist.npz", images_out=tmp_path / "o")


def test_a_split_without_images_adds_no_row(tmp_path):
    arrays = {"train_images": pixels(2, 28, 28), "train_labels": [[1], [0]]}
    np.savez(
        tmp_path / "breastmnist.npz", **arrays, val_images=pixels(0, 28, 28), val_labels=np.zeros((0, 1), np.uint8)
    )
    manifest = read_source("medmnist", tmp_path, images_out=tmp_path / "o")
    assert list(column(manifest, "split").values()) == ["train", "train"]


def test_a_folder_with_no_or_several_npz_is_refused(tmp_path):
    with pytest.raises(ManifestError, match=r"expected one \.npz there, found none; give the file itself"):
        read_source("medmnist", tmp_path, images_out=tmp_path / "o")
    for name in ("breastmnist", "retinamnist"):
        medmnist(tmp_path / f"{name}.npz", [[1], [0], [1]], 28, 28)
    with pytest.raises(ManifestError, match=r"found breastmnist\.npz, retinamnist\.npz"):
        read_source("medmnist", tmp_path, images_out=tmp_path / "o")
    assert len(read_source("medmnist", tmp_path, set_name="retinamnist", images_out=tmp_path / "o")) == 6


def test_images_need_a_folder_to_be_unpacked_to(tmp_path):
    medmnist(tmp_path / "breastmnist.npz", [[1], [0], [1]], 28, 28)
    with pytest.raises(ManifestError, match=r"breastmnist: its images are packed .* with --images-out"):
        read_source("medmnist", tmp_path)


def test_more_images_than_labels_are_refused(tmp_path):
    np.savez(tmp_path / "breastmnist.npz", train_images=pixels(3, 28, 28), train_labels=[[0], [1]])
    with pytest.raises(ManifestError, match="breastmnist: 3 train images but 2 labels"):
        read_source("medmnist", tmp_path, images_out=tmp_path / "o")


@pytest.mark.parametrize("images", [np.zeros((2, 28, 28)), pixels(2, 28, 28, 4), pixels(2, 28)])
def test_images_of_another_kind_are_refused(tmp_path, images):
    np.savez(tmp_path / "breastmnist.npz", train_images=images, train_labels=[[0], [1]])
    with pytest.raises(ManifestError, match=rf"images {images.dtype} .*; expected uint8 \(N, H, W\) or \(N, H, W, 3\)"):
        read_source("medmnist", tmp_path, images_out=tmp_path / "o")


@pytest.mark.data
def test_real_medmnist_files(data_folder, tmp_path):
    """RetinaMNIST v2 has 1,080 / 120 / 400 images."""
    manifest = read_source(
        "medmnist", data_folder / "medmnist" / "retinamnist.npz", images_out=tmp_path, check_files=False
    )
    assert manifest.table["split"].value_counts().to_dict() == {"train": 1080, "test": 400, "val": 120}
