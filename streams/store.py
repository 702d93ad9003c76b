"""RocksDB as Faust's tables use it, within memory that all partitions of a worker share.

Faust finds it by the entry point group ``faust.stores``, for tables whose store is ``tocsin://``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import rocksdict
from faust.stores import rocksdb
from faust.types import TP

MEGABYTE = 1024 * 1024


class StoreMemory:
    """What RocksDB may take for blocks that it has read and for what it has not yet written, in all.

    Parameters
    ----------
    megabytes
        So much; half of it at most is for what is not yet written.

    """

    def __init__(self, megabytes: int) -> None:
        self.cache = rocksdict.Cache(megabytes * MEGABYTE)
        self.buffers = rocksdict.WriteBufferManager.new_write_buffer_manager_with_cache(
            megabytes * MEGABYTE // 2, False, self.cache
        )


class Store(rocksdb.Store):
    """Raw keys and values of the partitions of one table.

    There is no write-ahead log: the changelog topic is one. What a crash takes out of memory is read from there, since
    each batch is stored together with the offset that it reaches.
    """

    def _open_for_partition(self, partition: int) -> Any:
        memory: StoreMemory = self.app.store_memory
        database = rocksdict.Rdict(str(self.partition_path(partition)), options=_options(memory))
        writing = rocksdict.WriteOptions()
        writing.disable_wal = True
        database.set_write_options(writing)
        return database

    def apply_changelog_batch(
        self, batch: Iterable[Any], to_key: Callable[[Any], Any], to_value: Callable[[Any], Any]
    ) -> None:
        """Take over records of the changelog, which are of any partitions."""
        by_partition: dict[TP, list[tuple[bytes, bytes | None, int]]] = {}
        for event in batch:
            message = event.message
            by_partition.setdefault(message.tp, []).append((message.key, message.value, message.offset))
        for tp, records in by_partition.items():
            self.put_all(tp.partition, ((key, value) for key, value, _ in records), max(at for *_, at in records))

    def put_all(self, partition: int, records: Iterable[tuple[bytes, bytes | None]], offset: int) -> None:
        """Write records and the offset that they reach, all or none."""
        batch = rocksdict.WriteBatch(raw_mode=True)
        for key, value in records:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(self.offset_key, str(offset).encode())
        self._db_for_partition(partition).write(batch)


def _options(memory: StoreMemory) -> rocksdict.Options:
    options = rocksdict.Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_max_open_files(256)
    options.set_write_buffer_size(8 * MEGABYTE)
    options.set_max_write_buffer_number(2)
    options.set_write_buffer_manager(memory.buffers)
    options.set_target_file_size_base(16 * MEGABYTE)
    options.set_max_background_jobs(2)
    options.set_compression_type(rocksdict.DBCompressionType.none())  # states are packed
    options.set_keep_log_file_num(2)
    blocks = rocksdict.BlockBasedOptions()
    blocks.set_block_cache(memory.cache)
    blocks.set_cache_index_and_filter_blocks(True)
    blocks.set_bloom_filter(10, block_based=False)
    options.set_block_based_table_factory(blocks)
    return options
