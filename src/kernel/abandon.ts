/** The run of a kernel is given up from outside: no system judges that, and nothing of that kernel runs again. */
export class Abandoned extends Error {
  constructor(why: string) {
    super(why);
    this.name = 'Abandoned';
  }
}
