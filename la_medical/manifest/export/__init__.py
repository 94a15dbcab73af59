"""Manifests in the layouts of other tools: a MONAI datalist, an nnU-Net v2 dataset."""

from la_medical.manifest.export.monai_datalist import export_monai
from la_medical.manifest.export.nnunet_dataset import export_nnunet

__all__ = ["export_monai", "export_nnunet"]
