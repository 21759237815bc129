/** The parameters of a module as modinfo shows them: each from two strings of .modinfo. */

interface Parameter {
  readonly name: string;
  about: string | undefined;
  type: string | undefined;
}

/** Description and type of a parameter stand in two strings; the last new name is shown first. */
export class Parameters {
  private readonly list: Parameter[] = [];
  private readonly wrong: (key: string, value: string) => void;

  /** `wrong` is told a string that names no parameter. */
  constructor(wrong: (key: string, value: string) => void) {
    this.wrong = wrong;
  }

  add(key: string, value: string): void {
    const colon = value.indexOf(':');
    if (colon < 0) {
      this.wrong(key, value);
      return;
    }
    const name = value.slice(0, colon);
    let parameter = this.list.find((one) => one.name === name);
    if (parameter === undefined) {
      parameter = { name, about: undefined, type: undefined };
      this.list.push(parameter);
    }
    if (key === 'parm') parameter.about = value.slice(colon + 1);
    else parameter.type = value.slice(colon + 1);
  }

  facts() {
    return this.list.map(({ name, about, type }) => ({
      name,
      description: about ?? null,
      type: type ?? null,
    }));
  }

  /** `typeAlone`: how a parameter without description is written when only parameters are asked for. */
  lines(typeAlone: boolean): string[] {
    return this.list
      .map(({ name, about, type }) => {
        if (about === undefined) return typeAlone ? `${name}: (${type})` : `${name}:${type}`;
        return type === undefined ? `${name}:${about}` : `${name}:${about} (${type})`;
      })
      .reverse();
  }
}
