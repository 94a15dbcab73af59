"""The 2D sets of MedMNIST v2: their classes in the order of the published label numbers, licence and origin."""

from __future__ import annotations

from dataclasses import dataclass, field

_CC_BY = "CC BY 4.0"
_NC = "CC BY-NC 4.0"
_ORGANS = (
    "bladder", "femur_left", "femur_right", "heart", "kidney_left", "kidney_right", "liver", "lung_left", "lung_right",
    "pancreas", "spleen",
)  # fmt: skip


@dataclass(frozen=True)
class MedMnistSet:
    """One set. `classes`: by label number. `multi_label`: labels are a row of 0 and 1, not one number."""

    title: str
    classes: tuple[str, ...]
    licence: str = _CC_BY
    multi_label: bool = False
    label_space: str = ""
    derived_from: dict[str, str] = field(default_factory=dict)


_LITS = {"lits": "axial, coronal or sagittal slices of its CT volumes; the three OrganMNIST sets share patients"}

SETS: dict[str, MedMnistSet] = {
    "pathmnist": MedMnistSet(
        "Colon pathology",
        (
            "adipose", "background", "debris", "lymphocytes", "mucus", "smooth_muscle", "normal_colon_mucosa",
            "cancer_associated_stroma", "colorectal_adenocarcinoma_epithelium",
        ),
    ),
    "chestmnist": MedMnistSet(
        "Chest X-ray, 14 findings of NIH ChestX-ray14",
        (
            "atelectasis", "cardiomegaly", "effusion", "infiltration", "mass", "nodule", "pneumonia", "pneumothorax",
            "consolidation", "edema", "emphysema", "fibrosis", "pleural_thickening", "hernia",
        ),
        multi_label=True,
        label_space="chest_xray",
        derived_from={"chestxray14": "all images are resized images of it"},
    ),
    "dermamnist": MedMnistSet(
        "Dermatoscopy (HAM10000)",
        (
            "actinic_keratoses_and_intraepithelial_carcinoma", "basal_cell_carcinoma", "benign_keratosis_like_lesions",
            "dermatofibroma", "melanoma", "melanocytic_nevi", "vascular_lesions",
        ),
        licence=_NC,
        derived_from={"ham10000": "all images are resized images of it; several show one lesion"},
    ),
    "octmnist": MedMnistSet(
        "Retinal OCT",
        ("choroidal_neovascularization", "diabetic_macular_edema", "drusen", "normal"),
        derived_from={"kermany_oct": "all images are resized images of it"},
    ),
    "pneumoniamnist": MedMnistSet(
        "Paediatric chest X-ray",
        ("no_finding", "pneumonia"),
        label_space="chest_xray",
        derived_from={"kermany": "all images are resized images of it"},
    ),
    "retinamnist": MedMnistSet(
        "Fundus camera, five grades of diabetic retinopathy (DeepDRiD)",
        ("grade_0", "grade_1", "grade_2", "grade_3", "grade_4"),
    ),
    "breastmnist": MedMnistSet("Breast ultrasound", ("malignant", "normal_or_benign")),
    "bloodmnist": MedMnistSet(
        "Blood cell microscopy",
        (
            "basophil", "eosinophil", "erythroblast", "immature_granulocytes", "lymphocyte", "monocyte", "neutrophil",
            "platelet",
        ),
    ),
    "tissuemnist": MedMnistSet(
        "Kidney cortex microscopy",
        (
            "collecting_duct_or_connecting_tubule", "distal_convoluted_tubule", "glomerular_endothelial_cells",
            "interstitial_endothelial_cells", "leukocytes", "podocytes", "proximal_tubule_segments",
            "thick_ascending_limb",
        ),
    ),
    "organamnist": MedMnistSet("Abdominal CT, axial", _ORGANS, derived_from=_LITS),
    "organcmnist": MedMnistSet("Abdominal CT, coronal", _ORGANS, derived_from=_LITS),
    "organsmnist": MedMnistSet("Abdominal CT, sagittal", _ORGANS, derived_from=_LITS),
}  # fmt: skip
"""MedMNIST's name of a 2D set to what it holds."""
