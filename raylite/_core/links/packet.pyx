"""Packets as bytes: written, and read with every bound checked (rule 7). One error: PacketError."""
from libc.string cimport memcpy
from raylite._core.envelope cimport blob_copy, blob_data
from raylite._core.message cimport MESSAGE_VERSION


class PacketError(ValueError):
    """Bytes that are no packet."""


cdef void packet_write(const Packet* packet, char* out) noexcept nogil:
    """Write packet_size bytes."""
    memcpy(out, &packet.head, sizeof(PacketHeader))
    out += sizeof(PacketHeader)
    memcpy(out, &packet.message, sizeof(Message))
    if packet.message.size:
        memcpy(out + sizeof(Message), blob_data(packet.payload), packet.message.size)


cdef bint kind_valid(const Packet* packet) noexcept nogil:
    """Data has a number, and what only speaks of the link has none, and no payload."""
    cdef uint32_t kind = packet.message.kind
    if kind == PEER_ACK or kind == PEER_FENCED:
        return packet.head.sequence == 0 and packet.message.size == 0
    return PEER_FENCED < kind <= NODE_LAST and packet.head.sequence > 0


cdef bint packet_read(const char* data, uint64_t size, Packet* packet) noexcept nogil:
    """Read a packet that is `size` bytes; its payload is a new blob, or NULL. False if it is malformed."""
    cdef uint64_t heads = sizeof(PacketHeader) + sizeof(Message)
    if size < heads:
        return False
    memcpy(&packet.head, data, sizeof(PacketHeader))
    memcpy(&packet.message, data + sizeof(PacketHeader), sizeof(Message))
    packet.payload = NULL
    if packet.message.version != MESSAGE_VERSION or packet.message.size != size - heads or not kind_valid(packet) \
            or packet.head.source == 0 or packet.head.source_incarnation == 0 or packet.head.target == 0:
        return False
    if packet.message.size:
        packet.payload = blob_copy(data + heads, packet.message.size)
        return packet.payload != NULL
    return True
