#pragma once
#include "uring.h"
