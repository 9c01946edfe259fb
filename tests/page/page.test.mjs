//! Covers: the page in a browser, against a server with real recordings that all tests share.

import './views.mjs';
import './uploads.mjs';
import './people.mjs';
import './administration.mjs';
import './looks.mjs';
