"""Feature views, the online fold, the SQL, encoding, parity and data quality.

The catalogue is read first, whatever is imported: attributes that an installation declares are columns of every payment from then on.
"""

from honour.features import catalogue as catalogue
