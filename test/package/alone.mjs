// The entry of a bundle that has the classifier alone in it.

import { classify } from 'pgherd/classify'

console.log(classify('select 1'))
