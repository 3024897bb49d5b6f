"""Arena: Honour as a whole against simple policies in simulated worlds. Above the loop, because it trains, serves and plays."""
