"""Files that go up, down and elsewhere through real runs: real Temporal, a real worker, a real OpenSSH server."""

from tests.fixtures.sftp_runs import SftpWorld, sha256, upload_of


async def test_an_asset_arrives_whole_under_its_final_name_alone(sftp_world: SftpWorld, some_bytes: bytes) -> None:
    asset = await sftp_world.keep(some_bytes)

    result = await sftp_world.do("upload", **upload_of(asset, "in/march/", make_folders=True))

    assert sftp_world.names() == ["in/march/file.bin"]
    assert (sftp_world.folder / "in/march/file.bin").read_bytes() == some_bytes
    assert (result.paths, result.bytes, result.sha256) == (("in/march/file.bin",), len(some_bytes), sha256(some_bytes))
    assert (result.account, result.attempt, result.resumed_from, result.notes) == ("bank", 1, 0, ())
