"""Files by reference, in a folder or a bucket."""

from storage.assets.draft import Draft
from storage.assets.garbage import Collected, Fate, Garbage
from storage.assets.rows import USER, Holder, StoredAsset
from storage.assets.store import AssetStore

__all__ = ["USER", "AssetStore", "Collected", "Draft", "Fate", "Garbage", "Holder", "StoredAsset"]
