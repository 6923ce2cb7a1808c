"""Whether the tests would find a fault: some are planted in the core (raylite/_core/planted.pxd), and searched for."""
