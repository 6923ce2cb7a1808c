from libc.stdint cimport uint32_t, uint64_t
from raylite._core.message cimport Message
from raylite.runtime.channel cimport BellPage, Channel
from raylite.runtime.client cimport Client
from raylite.runtime.inbox cimport Inbox
from raylite.runtime.pump cimport Pump

cdef struct Link:                 # a ring client's way to its node
    Channel channel
    Pump pump
    Inbox* inbox
    BellPage* bell
    int bell_file
    int node_thread_event
    int node_waiter_event
    int space_event
    int socket
    int node_end                  # pidfd of the node's process; workers have none, they die with it
    bint sending                  # a message is half written: others wait
    bint left                     # this client has closed it
    uint64_t n_messages_left      # for tests: after so many more the process is killed; 0: it lives

cdef class RingClient(Client):
    cdef Link* link
    cdef object fetching          # held while a segment's descriptor is asked for
